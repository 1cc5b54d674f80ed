/** The gateway's own API, asked as the signed-in person: the cookie goes along by itself, the word for changes is added here. */
import { csrf, lost } from './session'

/** What the gateway refused, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly type = '',
    readonly param = '',
    readonly request = '',
  ) {
    super(message)
  }
}

async function refusal(response: Response): Promise<Refused> {
  const request = response.headers.get('request-id') ?? ''
  try {
    const { error } = (await response.json()) as { error: { message: string; type?: string; param?: string | null } }
    return new Refused(response.status, error.message, error.type, error.param ?? '', request)
  } catch {
    return new Refused(response.status, `HTTP ${response.status}`, '', '', request)
  }
}

export interface Asking {
  method?: string
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** The raw answer, to be streamed or saved; raises `Refused`, and `TypeError` where the gateway cannot be reached. */
export async function ask(path: string, { method, body, headers, signal }: Asking = {}): Promise<Response> {
  const form = body instanceof FormData || body instanceof Blob
  const verb = method ?? (body === undefined ? 'GET' : 'POST')
  const told: Record<string, string> = { ...headers }
  if (verb !== 'GET') told['x-sampan-csrf'] = csrf.value
  if (body !== undefined && !form) told['content-type'] = 'application/json'
  const sent = body === undefined ? undefined : form ? body : JSON.stringify(body)
  const response = await fetch(path, { method: verb, headers: told, body: sent, signal, credentials: 'same-origin' })
  if (response.ok) return response
  if (response.status === 401) lost()
  throw await refusal(response)
}

export async function json<T>(path: string, asking: Asking = {}): Promise<T> {
  const response = await ask(path, asking)
  return (response.status === 204 ? undefined : await response.json()) as T
}

export interface Page<T> {
  data: T[]
  has_more: boolean
}

/** A whole list, page by page; `name` is what `after` takes. */
export async function all<T>(path: string, name: (item: T) => string, limit = 200): Promise<T[]> {
  const found: T[] = []
  for (;;) {
    const last = found.at(-1)
    const after = last === undefined ? '' : `&after=${encodeURIComponent(name(last))}`
    const page = await json<Page<T>>(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${after}`)
    found.push(...page.data)
    if (!page.has_more) return found
  }
}

export interface ServerEvent {
  event: string
  data: string
}

/** The events of a stream, as the HTML standard reads them (9.2.6); comments are left out. */
export async function* events(response: Response): AsyncGenerator<ServerEvent> {
  if (!response.body) return
  let rest = ''
  let event = ''
  let data: string[] = []
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          if (data.length) yield { event: event || 'message', data: data.join('\n') }
          event = ''
          data = []
        } else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
        else if (line.startsWith('event:')) event = line.slice(6).trim()
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

/** Has the browser save bytes under a name. */
export function save(data: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(data)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
