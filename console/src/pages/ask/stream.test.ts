import { describe, expect, it, vi } from 'vitest'

vi.mock('../../shell/api', () => ({
  ask: vi.fn(),
  Refused: class extends Error {
    constructor(readonly status: number, message: string, readonly type = '', readonly param = '', readonly request = '') {
      super(message)
    }
  },
}))
const { ask, Refused } = await import('../../shell/api')
const { factsOf, follow, Frames, pursue, wasHandedOver } = await import('./stream')
const { nothingTold } = await import('./talk')
type Answer = import('./talk').Answer

const answer = (): Answer => ({ asked: '', house: false, text: '', state: 'writing', told: nothingTold(), error: null, at: 0 })
const START = 'event: message_start\ndata: {"type":"message_start","message":{"model":"reader","usage":{"input_tokens":503}}}\n\n'
const WORDS = (text: string): string =>
  `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', delta: { type: 'text_delta', text } })}\n\n`
const END =
  'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":66}}\n\n' +
  'event: message_stop\ndata: {"type":"message_stop"}\n\n'
const QUESTION = { model: 'm', messages: [], house: true, system: ' ', temperature: 0 }

function streamed(...pieces: string[]): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece))
      controller.close()
    },
  })
  return new Response(body, { headers: { 'request-id': 'req_1', 'x-sampan-tier': 'cloud', 'x-sampan-upstream': 'claude' } })
}

it('cuts frames wherever the network does', () => {
  const whole = `: waiting\n\n${START}${WORDS('字')}`
  const frames = new Frames()
  expect([...whole].flatMap((sign) => frames.take(sign))).toEqual(new Frames().take(whole))
  expect(new Frames().take(whole).map((each) => each.event)).toEqual([':', 'message_start', 'content_block_delta'])
})

it('reads what a comment tells', () => {
  expect(factsOf('request-id: req_1; x-sampan-attempts: claude=cut,vl=ok')).toEqual({
    'request-id': 'req_1',
    'x-sampan-attempts': 'claude=cut,vl=ok',
  })
  expect(factsOf('waiting')).toEqual({})
})

describe('follow', () => {
  it('knows a late head from somebody who goes on', () => {
    const made = answer()
    follow(made, { event: ':', data: 'x-sampan-upstream: reader; x-sampan-tier: degraded' }, () => 1)
    expect([made.told.upstream, made.told.tier, made.told.heirs]).toEqual(['reader', 'degraded', []])
    for (const frame of new Frames().take(START + WORDS('a'))) follow(made, frame, () => 2)
    follow(made, { event: ':', data: 'x-sampan-upstream: vl; x-sampan-attempts: reader=cut,vl=ok' }, () => 3)
    for (const frame of new Frames().take(WORDS('b') + END)) follow(made, frame, () => 4)
    expect(made.text).toBe('ab')
    expect(made.state).toBe('done')
    expect(made.told).toMatchObject({ heirs: ['vl'], first: 2, input: 503, output: 66, model: 'reader', stop: 'end_turn' })
    expect(wasHandedOver(made)).toBe(true)
  })
})

describe('pursue', () => {
  it('follows an answer to its end', async () => {
    vi.mocked(ask).mockResolvedValueOnce(streamed(START, WORDS('你'), WORDS('好'), END))
    const made = answer()
    await pursue(made, QUESTION, new AbortController().signal)
    expect([made.state, made.text, made.told.tier, made.told.request]).toEqual(['done', '你好', 'cloud', 'req_1'])
    const sent = vi.mocked(ask).mock.calls[0]?.[1]
    expect(sent?.headers?.['x-sampan-residency']).toBe('local')
    expect(sent?.body).not.toHaveProperty('system')
    expect(sent?.body).toHaveProperty('temperature', 0)
  })
  it('never takes a cut for an end', async () => {
    vi.mocked(ask).mockResolvedValueOnce(streamed(START, WORDS('half')))
    const made = answer()
    await pursue(made, QUESTION, new AbortController().signal)
    expect([made.state, made.text, made.error?.status]).toEqual(['failed', 'half', 0])
  })
  it('keeps the words of an error, in the stream and before it', async () => {
    const error = 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"it broke"}}\n\n'
    vi.mocked(ask).mockResolvedValueOnce(streamed(START, WORDS('half'), error))
    const broken = answer()
    await pursue(broken, QUESTION, new AbortController().signal)
    expect([broken.state, broken.text, broken.error?.message]).toEqual(['failed', 'half', 'it broke'])
    vi.mocked(ask).mockRejectedValueOnce(new Refused(529, 'nobody', 'overloaded_error', '', 'req_9'))
    const refused = answer()
    await pursue(refused, QUESTION, new AbortController().signal)
    expect([refused.error?.status, refused.error?.message, refused.told.request]).toEqual([529, 'nobody', 'req_9'])
  })
  it('keeps what came when it is stopped', async () => {
    const stop = new AbortController()
    vi.mocked(ask).mockImplementationOnce(async () => {
      stop.abort()
      return streamed(START, WORDS('half'))
    })
    const made = answer()
    await pursue(made, QUESTION, stop.signal)
    expect([made.state, made.text]).toEqual(['stopped', 'half'])
  })
})
