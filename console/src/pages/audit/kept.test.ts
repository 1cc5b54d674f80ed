import { expect, it } from 'vitest'
import { read } from './kept'

const turns = (body: unknown) => read(JSON.stringify(body)).turns

it('reads the talks of all dialects', () => {
  expect(
    turns({ system: '你是医生', messages: [{ role: 'user', content: [{ type: 'text', text: '看图' }, { type: 'image', source: {} }] }] }),
  ).toEqual([{ who: 'system', text: '你是医生' }, { who: 'user', text: '看图\n[image]' }])
  expect(turns({ role: 'assistant', content: [{ type: 'thinking', thinking: 'hm' }, { type: 'text', text: '好' }] })).toEqual([{ who: 'assistant', text: '好' }])
  expect(turns({ choices: [{ message: { role: 'assistant', content: 'fine' } }] })).toEqual([{ who: 'assistant', text: 'fine' }])
  expect(turns({ input: 'hello' })).toEqual([{ who: 'user', text: 'hello' }])
  expect(turns({ output: [{ role: 'assistant', content: [{ type: 'output_text', text: 'yes' }] }] })).toEqual([{ who: 'assistant', text: 'yes' }])
  expect(turns({ prompt: ['左边红猫'] })).toEqual([{ who: 'prompt', text: '左边红猫' }])
  expect(turns({ error: { message: 'max_tokens: must be 1 or more' } })[0]?.text).toContain('max_tokens')
})

it('gives what it does not know as it is', () => {
  expect(read('a stream said this')).toEqual({ turns: [{ who: '', text: 'a stream said this' }], raw: '' })
  expect(read('{"data":[{"b64_json":"x"}]}').turns).toEqual([])
  expect(read('{"a":1}').raw).toBe('{\n  "a": 1\n}')
  expect(read('')).toEqual({ turns: [], raw: '' })
})
