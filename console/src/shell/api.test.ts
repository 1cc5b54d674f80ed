import { expect, test } from 'vitest'
import { events } from './api'

async function read(...pieces: string[]): Promise<string[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece))
      controller.close()
    },
  })
  const found: string[] = []
  for await (const { event, data } of events(new Response(body))) found.push(`${event}|${data}`)
  return found
}

test('events are read however they are cut into pieces', async () => {
  const whole = 'event: a\ndata: {"x":1}\n\n: waiting\n\ndata: one\r\ndata: 二\r\n\r\nevent: end\ndata:\n\n'
  const expected = ['a|{"x":1}', 'message|one\n二', 'end|']
  expect(await read(whole)).toEqual(expected)
  for (let cut = 1; cut < whole.length; cut += 1) {
    expect(await read(whole.slice(0, cut), whole.slice(cut)), `cut at ${cut}`).toEqual(expected)
  }
})

test('an event that never ended is none', async () => {
  expect(await read('event: a\ndata: half')).toEqual([])
})
