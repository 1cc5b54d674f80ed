/** One question on its way: asks the gateway, and follows the answer piece by piece until it ends, breaks or is stopped. */
import { ask, Refused } from '../../shell/api'
import { type Answer, attemptsOf, type Said } from './talk'

export interface Frame {
  event: string
  data: string
}

/** Server-sent events with their comments (`event` is `:`): the gateway says in comments what came too late for the head. */
export class Frames {
  private rest = ''
  private event = ''
  private data: string[] = []

  take(text: string): Frame[] {
    const found: Frame[] = []
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (this.data.length) found.push({ event: this.event || 'message', data: this.data.join('\n') })
        this.event = ''
        this.data = []
      } else if (line.startsWith(':')) found.push({ event: ':', data: line.slice(1).trim() })
      else if (line.startsWith('data:')) this.data.push(line.slice(5).replace(/^ /, ''))
      else if (line.startsWith('event:')) this.event = line.slice(6).trim()
    }
    return found
  }
}

/** `request-id: req_1; x-sampan-upstream: reader` as a table; nothing of `waiting`. */
export function factsOf(comment: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const each of comment.split(';')) {
    const cut = each.indexOf(':')
    if (cut > 0) found[each.slice(0, cut).trim().toLowerCase()] = each.slice(cut + 1).trim()
  }
  return found
}

/** What is known of an answer, from its head or from a comment in it. */
export function learn(answer: Answer, fact: (name: string) => string | null | undefined): void {
  const { told } = answer
  told.request = fact('request-id') || told.request
  told.upstream = fact('x-sampan-upstream') || told.upstream
  told.attempts = fact('x-sampan-attempts') || told.attempts
  told.tier = fact('x-sampan-tier') || told.tier
  told.cache = fact('x-sampan-cache') || told.cache
}

interface Event {
  type?: string
  message?: { model?: string; usage?: { input_tokens?: number } }
  content_block?: { type?: string; text?: string }
  delta?: { type?: string; text?: string; stop_reason?: string | null }
  usage?: { input_tokens?: number; output_tokens?: number }
  error?: { type?: string; message?: string }
}

/** Takes one frame in; `clock` gives the seconds since the question went out. Raises `Refused` for an error in the stream. */
export function follow(answer: Answer, { event, data }: Frame, clock: () => number): void {
  if (event === ':') {
    const facts = factsOf(data)
    // In the middle of an answer a name means that this one goes on.
    if (facts['x-sampan-upstream'] && answer.text) answer.told.heirs.push(facts['x-sampan-upstream'])
    learn(answer, (name) => facts[name])
    return
  }
  const said = JSON.parse(data) as Event
  if (event === 'error' || said.type === 'error') {
    throw new Refused(502, said.error?.message ?? '', said.error?.type ?? '', '', answer.told.request)
  }
  if (said.message?.model) answer.told.model = said.message.model
  answer.told.input = said.usage?.input_tokens ?? said.message?.usage?.input_tokens ?? answer.told.input
  answer.told.output = said.usage?.output_tokens ?? answer.told.output
  if (said.delta?.stop_reason) answer.told.stop = said.delta.stop_reason
  if (said.type === 'message_stop') answer.state = 'done'
  const text = said.delta?.type === 'text_delta' ? said.delta.text : said.content_block?.text
  if (text) {
    answer.told.first ||= clock()
    answer.text += text
  }
}

export interface Question {
  model: string
  messages: Said[]
  house: boolean
  system: string
  temperature: number | null
}

const LONGEST = 4096 // tokens of an answer

/** Asks, and fills `answer` until it has ended. It never raises: what went wrong stands in the answer. */
export async function pursue(answer: Answer, question: Question, signal: AbortSignal): Promise<void> {
  const begun = performance.now()
  const clock = (): number => (performance.now() - begun) / 1000
  try {
    const response = await ask('/v1/messages', {
      headers: { 'anthropic-version': '2023-06-01', ...(question.house ? { 'x-sampan-residency': 'local' } : {}) },
      body: bodyOf(question),
      signal,
    })
    learn(answer, (name) => response.headers.get(name))
    if (!response.body) throw new TypeError('no body')
    const frames = new Frames()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      for (const frame of frames.take(value)) follow(answer, frame, clock)
    }
    if (answer.state !== 'done') throw new TypeError('cut')
  } catch (error) {
    fail(answer, error, signal)
  }
  answer.told.whole = clock()
}

function fail(answer: Answer, error: unknown, signal: AbortSignal): void {
  if (answer.state === 'done') return
  if (signal.aborted) {
    answer.state = 'stopped'
    return
  }
  answer.state = 'failed'
  const refused = error instanceof Refused ? error : null
  answer.told.request = refused?.request || answer.told.request
  answer.error = { status: refused?.status ?? 0, type: refused?.type ?? '', message: refused?.message ?? '' }
}

function bodyOf({ model, messages, system, temperature }: Question): Record<string, unknown> {
  return {
    model,
    max_tokens: LONGEST,
    stream: true,
    messages,
    ...(system.trim() ? { system } : {}),
    ...(temperature === null ? {} : { temperature }),
  }
}

/** Whether somebody failed before this one answered. */
export const wasHandedOver = (answer: Answer): boolean =>
  attemptsOf(answer.told.attempts).some((each) => each.fault !== 'ok' && each.fault !== 'outrun')
