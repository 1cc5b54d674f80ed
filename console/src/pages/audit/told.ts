/** A record as the gateway tells it, and what its short texts mean. */
import { span } from '../../shell/times'

export interface Call {
  id: string
  started: number
  key_id: string
  key_name: string
  dialect: string
  operation: string
  model: string
  stream: boolean
  outcome: string
  status: number
  error: string
  upstream: string
  tier: string
  attempts: string
  input_tokens: number
  output_tokens: number
  images: number
  bytes_in: number
  bytes_out: number
  first_event_ms: number
  total_ms: number
  receipt: string
  department: string
  user: string
  peer: string
  rule: string
  confined: string
  cache: string
  cost: number
  content: string
  masked: string
  node: string
  number: number
  hash: string
}

export interface Told extends Call {
  story: string
  currency: string
  seal: { ordinal: number; number: number; time: number } | null
}

/** Milliseconds as people read them; what is refused takes less than one. */
export const took = (ms: number): string => (ms < 1 ? '< 1 ms' : span(ms / 1000))

export interface Attempt {
  target: string
  /** `ok`, `outrun`, or the fault. */
  how: string
  /** It went on with what the one before had begun to say. */
  seam: boolean
}

/** After these a part of the answer had gone out to the caller already. */
const MIDDLE = new Set(['idle_timeout', 'cut'])

/** `claude=cut,vl=ok` in the order in which they were asked. */
export function attempts(text: string, streamed: boolean): Attempt[] {
  const found: Attempt[] = []
  for (const part of text.split(',').filter(Boolean)) {
    const cut = part.lastIndexOf('=')
    const before = found.at(-1)
    const how = part.slice(cut + 1)
    const seam = streamed && how === 'ok' && before !== undefined && MIDDLE.has(before.how)
    found.push({ target: part.slice(0, cut), how, seam })
  }
  return found
}

export interface Morsel {
  path: string
  digest: string
  /** `t`, `p`, `w`, `pdf`, `text`, `url`, `file`. */
  became: string
  count: number
}

/** What became of each picture and document, and how many more there were than fit into the record. */
export function receipt(text: string): { morsels: Morsel[]; more: number } {
  const morsels: Morsel[] = []
  let more = 0
  for (const part of text.split(',').filter(Boolean)) {
    const found = /^(.*)=([0-9a-f]+):(\d*)([a-z]+)$/.exec(part)
    if (found) {
      const [, path = '', digest = '', count = '', became = ''] = found
      morsels.push({ path, digest, became, count: Number(count || 0) })
    } else more += Number(/^\+(\d+)$/.exec(part)?.[1] ?? 0)
  }
  return { morsels, more }
}

/** `residency:detected resident_id` → `residency`, `detected`, `resident_id`. */
export function reason(text: string): { source: string; kind: string; detail: string } {
  const cut = text.indexOf(':')
  const rest = text.slice(cut + 1)
  if (cut < 0) return { source: '', kind: rest, detail: '' }
  const source = text.slice(0, cut)
  if (source !== 'residency') return { source, kind: rest, detail: '' }
  const blank = rest.indexOf(' ')
  return blank < 0 ? { source, kind: rest, detail: '' } : { source, kind: rest.slice(0, blank), detail: rest.slice(blank + 1) }
}

/** `redacted:…`, `sealed:lost` → how it is kept, and whether it is there. */
export function content(text: string): { how: string; there: boolean; digest: string } {
  const [how = '', digest = ''] = text.split(':')
  return { how, there: /^[0-9a-f]{64}$/.test(digest), digest }
}
