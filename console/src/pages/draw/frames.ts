/** A picture stream as it comes in pieces: events, and the comments between them that tell progress and who answers. */
export interface Frame {
  event: string
  data: string
  comment: string
}

/** The event streams of the HTML standard (9.2.6), with their comments kept. */
export class Frames {
  private rest = ''
  private event = ''
  private data: string[] = []

  feed(text: string): Frame[] {
    const found: Frame[] = []
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (this.data.length) found.push({ event: this.event || 'message', data: this.data.join('\n'), comment: '' })
        this.event = ''
        this.data = []
      } else if (line.startsWith(':')) found.push({ event: '', data: '', comment: line.slice(1).trim() })
      else if (line.startsWith('data:')) this.data.push(line.slice(5).replace(/^ /, ''))
      else if (line.startsWith('event:')) this.event = line.slice(6).trim()
    }
    return found
  }
}

/** `step 3 of 8` as a share, or nothing. */
export function progress(comment: string): number | null {
  const found = /^step (\d+) of (\d+)$/.exec(comment)
  return found ? Math.min(1, Number(found[1]) / Math.max(1, Number(found[2]))) : null
}

/** `x-sampan-upstream: sketcher; x-sampan-tier: degraded` as what a head would have held; empty for other comments. */
export function truth(comment: string): Record<string, string> {
  if (!/(^|; )x-sampan-/.test(comment)) return {}
  const pairs = comment.split('; ').map((each) => each.split(': ', 2))
  return Object.fromEntries(pairs.filter((pair) => pair.length === 2).map(([key, value]) => [String(key), String(value)]))
}
