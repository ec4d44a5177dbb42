/** The names in a list like `plain,zstd`. Throws on one that is not among `known`. */
export function chosen<Name extends string>(known: readonly Name[], list: string): Name[] {
  return list.split(',').map((word) => {
    const name = known.find((name) => name === word)
    if (name === undefined) throw new Error(`'${word}' is not one of ${known.join(', ')}`)
    return name
  })
}
