import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { boot } from '../src/boot/boot.ts'
import { type Command, EVERYWHERE } from '../src/cli/command.ts'
import { type OptionName, REPEATABLE, optionText } from '../src/cli/options.ts'
import { COMMANDS } from '../src/cli/tool.ts'
import { WORDS } from '../src/cli/words.ts'

/**
 * The manual pages: one of the tool, one for each command and one of the kernel command line, made
 * of what --help prints, in the macros of man(7).
 */

const EXIT_STATUS: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done'],
  ['1', 'a bug of netcow'],
  ['2', 'wrong usage'],
  ['3', 'the source is unavailable or refused'],
  ['4', 'the image is invalid or unsupported'],
  ['5', 'the kernel or a peer refused'],
]

/** The name of the file, and its text. */
export type Page = readonly [name: string, text: string]

/** @param version of netcow, for the foot of each page */
export async function manualPages(version: string): Promise<readonly Page[]> {
  const loaded = await Promise.all(Object.values(COMMANDS).map((load) => load()))
  const commands = [...loaded, boot]
  return [
    ['netcow.1', overview(commands, version)],
    ...commands.map((command): Page => [
      `netcow-${command.name}.1`,
      commandPage(command, commands, version),
    ]),
    ['netcow.cmdline.7', kernelCommandLine(version)],
  ]
}

/** Writes the pages to `directory`/man1 and `directory`/man7, and nothing else is left there. */
export async function writeManual(directory: string, version: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true })
  for (const [name, text] of await manualPages(version)) {
    const folder = join(directory, `man${name.slice(-1)}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

function overview(commands: readonly Command[], version: string): string {
  return page('netcow', 1, version, [
    section(
      'NAME',
      text('netcow - serves, attaches and boots QCOW2 images that lie on a web server'),
    ),
    section('SYNOPSIS', '.B netcow\n.I COMMAND\n[OPTIONS]'),
    section(
      'COMMANDS',
      ...commands.map(({ name, summary }) => tagged(`.BR netcow\\-${plain(name)} (1)`, summary)),
    ),
    section(
      'IMAGES',
      text(
        'An IMAGE is a path, an http or https URL, or memory:SIZE, an empty device in memory. What an image names, such as its backing file, is opened only by leave of --backing.',
      ),
    ),
    exitStatus(),
    section('SEE ALSO', '.BR netcow.cmdline (7),\n.BR qemu\\-img (1)'),
  ])
}

function commandPage(command: Command, all: readonly Command[], version: string): string {
  const { name, operands, summary, details, options } = command
  const others = all.filter((other) => other !== command)
  return page(`netcow-${name}`, 1, version, [
    section('NAME', text(`netcow-${name} - ${summary}`)),
    section('SYNOPSIS', `.B netcow ${plain(name)}\n${plain([...operands, '[OPTIONS]'].join(' '))}`),
    section('DESCRIPTION', ...details.map((paragraph) => `.PP\n${text(paragraph)}`)),
    section('OPTIONS', ...[...options, ...EVERYWHERE].map((each) => option(each, name))),
    exitStatus(),
    section(
      'SEE ALSO',
      ['.BR netcow (1)', ...others.map((other) => `.BR netcow\\-${plain(other.name)} (1)`)].join(
        ',\n',
      ),
    ),
  ])
}

function kernelCommandLine(version: string): string {
  const words: readonly (readonly [string, string])[] = [
    [
      'root=netcow:URL',
      'the image; the root is found in it: the whole disk, the partition typed as root, or the only one with a Linux file system',
    ],
    ['rd.netcow=URL', 'the image, beside the usual root='],
    ['netroot=netcow:URL', 'the same'],
    [
      'rd.netcow=LABEL=X:/PATH',
      'an image that is a file on a local disk; also UUID=, PARTLABEL=, PARTUUID=, /dev/X',
    ],
    ...WORDS.map((name) => {
      const { argument, help } = optionText(name, 'boot')
      const more = REPEATABLE.has(name) && !help.includes('repeat') ? '; may be repeated' : ''
      return [`rd.netcow.${name}=${argument ?? ''}`, help + more] as const
    }),
    ['proxy=URL', 'an http or https proxy for everything'],
    ['rd.noverifyssl', 'take any certificate of a server'],
    ['rd.netcow.debug', "say more in the kernel's log"],
  ]
  return page('netcow.cmdline', 7, version, [
    section('NAME', text('netcow.cmdline - words of the kernel command line for netcow')),
    section(
      'DESCRIPTION',
      text(
        'netcow.x works as rd.netcow.x, and netcow=URL as rd.netcow=URL. A word that is not known ends the boot with the word that was probably meant. Files are files of the initramfs. The root is mounted read-write, into the overlay, unless there is ro; rootflags= and rootfstype= keep their meaning. Without ip= the network comes from DHCP; with several cards BOOTIF= or ip=CARD:dhcp says which one leads to the server.',
      ),
    ),
    section('WORDS', ...words.map(([word, help]) => tagged(`.B ${plain(word)}`, help))),
    section('SEE ALSO', '.BR netcow (1),\n.BR dracut.cmdline (7),\n.BR bootparam (7)'),
  ])
}

function option(name: OptionName, command: string): string {
  const { argument, help } = optionText(name, command)
  const word = `.B \\-\\-${plain(name)}`
  return tagged(argument === undefined ? word : `${word} ${plain(argument)}`, help)
}

function exitStatus(): string {
  return section(
    'EXIT STATUS',
    ...EXIT_STATUS.map(([code, meaning]) => tagged(`.B ${code}`, meaning)),
  )
}

function page(name: string, number: number, version: string, sections: readonly string[]): string {
  return `.TH "${plain(name.toUpperCase())}" ${number} "" "netcow ${version}"\n${sections.join('')}`
}

function section(heading: string, ...parts: readonly string[]): string {
  return `.SH "${heading}"\n${parts.map((part) => `${part}\n`).join('')}`
}

function tagged(tag: string, help: string): string {
  return `.TP\n${tag}\n${text(help)}`
}

/** A paragraph: its first character may not be one that begins a request. */
function text(paragraph: string): string {
  return plain(paragraph).replace(/^(?=[.'])/, '\\&')
}

/** The hyphens of words that are to be typed are minus signs, and quotes are straight. */
function plain(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
}
