import { describe, expect, it } from 'vitest'
import { bodyOf, daySpan, formOf, reason, ruleWords, written } from './rules'
import type { Rule, RuleBody } from './wire'

const titles: Record<string, string> = { radiology: '放射科' }
const tell = (_: string, name: string): string => titles[name] ?? name
const zh = (rule: RuleBody): string => ruleWords(rule, tell, 'zh')
const en = (rule: RuleBody): string => ruleWords(rule, tell, 'en')

describe('a rule in words', () => {
  it('says whom, and what becomes of the call', () => {
    expect(zh({ effect: 'local', departments: ['radiology'] })).toBe('放射科的请求只在本地回答')
    expect(en({ effect: 'local', departments: ['radiology'] })).toBe('Calls of 放射科 are answered in the house only')
    expect(zh({ effect: 'deny' })).toBe('所有请求一律拒绝')
    expect(en({ effect: 'allow' })).toBe('All calls are allowed')
    expect(zh({ effect: 'deny', roles: ['member'], tools: ['bash*'] })).toBe('角色 member 带着工具 bash* 的请求一律拒绝')
  })
  it('says what must not be', () => {
    expect(zh({ effect: 'deny', networks: ['!10.0.0.0/8'] })).toBe('从 10.0.0.0/8 以外的请求一律拒绝')
    expect(en({ effect: 'deny', networks: ['!10.0.0.0/8'] })).toBe('Calls from outside 10.0.0.0/8 are refused')
    expect(zh({ effect: 'mask', departments: ['!radiology'] })).toBe('除放射科以外的所有人的请求出门前遮住身份证号等标识')
  })
  it('says when and how much', () => {
    expect(zh({ effect: 'deny', operations: ['generate', 'edit'], hours: ['22:00-06:00'] })).toBe('在 22:00-06:00 生成图片、修改图片的请求一律拒绝')
    expect(en({ effect: 'deny', over_pictures: 0, days: ['sat', 'sun'] })).toBe('Calls for more than 0 pictures on Saturday, Sunday are refused')
    expect(daySpan(['fri', 'mon', 'tue', 'wed', 'thu'], 'zh')).toBe('周一到周五')
  })
})

describe('the form', () => {
  it('gives back what it was given, and no more', () => {
    const rule: Rule = { id: 'x', name: 'x', source: 'stored', updated: 1, effect: 'deny', departments: ['a', '!b'], over_pictures: 0, days: ['mon'], hours: ['08:00-18:00'] }
    expect(bodyOf(formOf(rule))).toEqual({ effect: 'deny', departments: ['a', '!b'], over_pictures: 0, days: ['mon'], hours: ['08:00-18:00'] })
    expect(bodyOf(formOf())).toEqual({ effect: 'local' })
    expect(written(rule)).toEqual(bodyOf(formOf(rule)))
  })
})

describe('what decided', () => {
  it('is told in words', () => {
    expect(reason('policy:夜间', 'zh')).toBe('规则“夜间”')
    expect(reason('policy:default', 'en')).toContain('no rule allows it')
    expect(reason('residency:detected resident_id', 'zh')).toBe('内容里有身份证号')
    expect(reason('residency:department', 'en')).toContain('confined')
    expect(reason('residency:something', 'en')).toBe('residency:something')
  })
})
