import { expect, test } from 'vitest'
import { brief, busy, choices, left, marks, NAME, part, patterns, stairs } from './canary'
import type { Engine, Fetch, Promotion, Release, Yard } from './wire'

const work = (stage: Promotion['stage'], share = 0): Promotion => ({
  id: 1, engine: 'chat', revision: 'v2', kind: 'promote', stage, share, detail: '', asked: 1, ended: null,
})

test('the steps of a promotion', () => {
  expect(marks('starting')).toEqual(['done', 'now', 'later', 'later', 'later'])
  expect(marks('finished')).toEqual(['done', 'done', 'done', 'done', 'done'])
})

test('the share climbs the stairs of the configuration', () => {
  expect(stairs([0.1, 0.5], work('probing')).map((each) => each.mark)).toEqual(['later', 'later', 'later'])
  expect(stairs([0.1, 0.5], work('sharing', 0.5)).map((each) => each.mark)).toEqual(['done', 'now', 'later'])
  expect(stairs([0.1, 0.5], work('finished', 1)).map((each) => each.mark)).toEqual(['done', 'done', 'done'])
  expect(stairs([], work('sharing', 0.5))).toEqual([{ share: 1, mark: 'now' }])
})

test('a commit is cut, a tag is not', () => {
  expect(brief('1234567890abcdef1234567890abcdef12345678')).toBe('1234567890ab')
  expect(brief('v0.9.2-cuda')).toBe('v0.9.2-cuda')
  expect(brief(`content-${'a'.repeat(40)}`)).toBe('content-aaaaaaaa')
})

test('only whole releases of the model that do not run already', () => {
  const engine = { model: 'Qwen/Tiny', stable: { release: 'a' } } as Engine
  const release = (name: string, revision: string, whole = true) => ({ name, revision, whole }) as Release
  const all = [release('Qwen/Tiny', 'a'), release('Qwen/Tiny', 'b'), release('Qwen/Tiny', 'c', false), release('Else', 'd')]
  expect(choices(engine, all).map((each) => each.revision)).toEqual(['b'])
})

test('how long a fetch still takes', () => {
  const fetch = { rate: 10, bytes: 100, bytes_done: 40 } as Fetch
  expect(left(fetch)).toBe(6)
  expect(left({ ...fetch, rate: 0 })).toBeNull()
  expect(part(1, 0)).toBe(-1)
  expect(part(1, 4)).toBe(0.25)
})

test('a yard is busy while something goes on', () => {
  const idle = { engines: [{ work: null, stable: { state: 'warm' } }], fetches: [], check: { state: 'done' } } as unknown as Yard
  expect(busy(idle)).toBe(false)
  expect(busy({ ...idle, check: { state: 'running' } })).toBe(true)
})

test('names and patterns', () => {
  expect(NAME.test('Qwen/Qwen2.5-VL-7B-Instruct')).toBe(true)
  expect(NAME.test('/etc/passwd')).toBe(false)
  expect(patterns(' *.json,*.safetensors\ntokenizer* ')).toEqual(['*.json', '*.safetensors', 'tokenizer*'])
})
