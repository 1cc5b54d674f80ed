import { beforeEach, expect, it } from 'vitest'
import { language } from '../../shell/words'
import { call, note, problem } from './verdict'

beforeEach(() => {
  language.value = 'zh'
})

it('says what is wrong in Chinese', () => {
  expect(problem('req_1A is not what was written: its hash does not fit')).toBe('req_1A 的内容与当初写下的不同：哈希对不上')
  expect(problem('missing: 1,203 to 1,207')).toBe('缺少第 1,203 到第 1,207 条记录')
  expect(problem('missing: 7')).toBe('缺少第 7 条记录')
  expect(problem('seal 3 says that it had another hash')).toContain('第 3 个封存')
  expect(note('node 0123456789abcdef: the last 12 records are behind its last seal')).toContain('最后 12 条')
})

it('gives the gateway’s own words where it knows no better', () => {
  expect(problem('something new')).toBe('something new')
  language.value = 'en'
  expect(problem('missing: 7')).toBe('record 7 is missing')
})

it('finds the call that a problem speaks of', () => {
  expect(call('req_1A is not what was written: its hash does not fit')).toBe('req_1A')
  expect(call('missing: 7')).toBe('')
})
