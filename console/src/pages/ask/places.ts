/** What the reader says of where it read: an answer's text, cut into values, the places they were read, and the rest. */

/** Left, top, right, bottom: pixels of a picture as it is shown, points of a PDF's page. */
export type Box = readonly [left: number, top: number, right: number, bottom: number]

export interface Place {
  /** Which file of those asked about, from 0. */
  file: number
  /** The page of a PDF, from 1; 0 of a picture. */
  page: number
  /** The words that stand there. */
  line: string
  box: Box | null
}

/** A value and where it was read; `label` is empty where one thing was asked. */
export interface Finding {
  label: string
  value: string
  places: Place[]
}

export interface Reading {
  findings: Finding[]
  /** What was said beside the findings, as Markdown: a transcript, a refusal, what is missing. */
  rest: string
  /** The reader's word about itself. */
  note: string
}

// As `sampan/engines/reader/reply.py` writes them, in simplified and traditional Chinese and in English.
const SOURCE = /^ {2}— ((?:读自|讀自|Read from ).*)$/
const FROM = '(?:读自|讀自|Read from )'
const PLACE = new RegExp(
  `${FROM}(?:第 (\\d+) [个個]文件|file (\\d+) )?(?:第 (\\d+) [页頁]|page (\\d+) )?“(.*?)”` +
    `(?:(?:，位置 |, box )\\[([-\\d., ]+)\\])?(?=；${FROM}|$)`,
  'g',
)
const NOTE = /^[（(](?:离线降级阅读器|離線降級閱讀器|Offline degraded reader)[：:].*[）)]$/
const LABEL = /^(.{1,80}?)(?:：|: )([\s\S]*)$/

/** Null where the text is none of the reader's with places in it. */
export function read(text: string): Reading | null {
  const reading: Reading = { findings: [], rest: '', note: '' }
  const rest: string[] = []
  let pending: string[] = []
  for (const line of text.split('\n')) {
    const places = placesOf(line)
    if (places.length) {
      reading.findings.push({ label: '', value: pending.join('\n').trim(), places })
      pending = []
    } else if (NOTE.test(line.trim())) reading.note = line.trim().slice(1, -1)
    else if (isMissing(line)) rest.push(line)
    else pending.push(line)
  }
  if (!reading.findings.length) return null
  reading.rest = [...rest, ...pending].join('\n').trim()
  if (reading.findings.length > 1 || rest.length) reading.findings.forEach(label)
  return reading
}

function placesOf(line: string): Place[] {
  const said = SOURCE.exec(line)?.[1]
  if (said === undefined) return []
  return [...said.matchAll(PLACE)].map((found) => ({
    file: Number(found[1] ?? found[2] ?? 1) - 1,
    page: Number(found[3] ?? found[4] ?? 0),
    line: found[5] ?? '',
    box: box(found[6] ?? ''),
  }))
}

function box(text: string): Box | null {
  const [left, top, right, bottom, ...more] = text.split(',').map(Number)
  if (left === undefined || top === undefined || right === undefined || bottom === undefined || more.length) return null
  return [left, top, right, bottom].every(Number.isFinite) && right > left && bottom > top ? [left, top, right, bottom] : null
}

/** Things that were asked for and are not there stand between those that are. */
function isMissing(line: string): boolean {
  return /文档中没有找到|文檔中沒有找到|Not found in the document/.test(line)
}

function label(finding: Finding): void {
  const found = LABEL.exec(finding.value)
  if (found?.[1] && found[2]) {
    finding.label = found[1].trim()
    finding.value = found[2].trim()
  }
}

/** Whether it says that somebody without a language model answered, with places or without. */
export function isReaders(text: string): boolean {
  return text.split('\n').some((line) => NOTE.test(line.trim()))
}

/** A box with some paper around it, within a picture of this size: what a strip cut out of the picture shows. */
export function around([left, top, right, bottom]: Box, width: number, height: number): Box {
  // As much as is there around a line by itself; of more lines than one, no more than between them.
  const by = Math.min(bottom - top, (right - left) * 0.2, Math.max(width, height) * 0.02)
  return [
    Math.max(0, left - by),
    Math.max(0, top - by * 0.2),
    Math.min(width, right + by),
    Math.min(height, bottom + by * 0.2),
  ]
}
