import { expect, it } from 'vitest'
import { emptyQuestion, questionOf } from './questions'

it('leaves out what is not said', () => {
  expect(questionOf({ ...emptyQuestion(), department: 'icu', model: 'claude-x' })).toEqual({ department: 'icu', model: 'claude-x', operation: 'text' })
  expect(questionOf({ ...emptyQuestion(), by: 'key', key: 'key_1', department: 'icu', model: 'm' })).toEqual({ key: 'key_1', model: 'm', operation: 'text' })
})

it('makes a call of a text', () => {
  const form = { ...emptyQuestion(), model: 'm', text: '你好', tools: ['bash'], answer_tokens: 9, residency: true }
  expect(questionOf(form)).toEqual({
    model: 'm',
    operation: 'text',
    residency: 'local',
    body: { max_tokens: 9, messages: [{ role: 'user', content: '你好' }], tools: [{ name: 'bash', input_schema: { type: 'object' } }] },
  })
  expect(questionOf({ ...form, operation: 'generate', size: '64x64', pictures: 2, residency: false })['body']).toEqual({ prompt: '你好', n: 2, size: '64x64' })
  expect(questionOf({ ...form, operation: 'embed' })['body']).toEqual({ input: '你好' })
  expect(questionOf({ ...form, operation: 'edit', size: '64x64' })).toMatchObject({ size: '64x64', tools: ['bash'] })
})
