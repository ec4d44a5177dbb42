/** What is encrypted at once, in bytes; the unit in which LUKS counts. */
export const SECTOR = 512
