import { describe, expect, it } from 'vitest'
import { amount, freeName, fullest, most, parts, potsOf, whom, whose } from './limits'
import type { Key, Limit, Pot } from './wire'

const plain = (_: string, name: string): string => name
const pot = (name: string, share = 0): Pot => ({ pot: name, spent: share * 10, reserved: 0, left: 10, share, since: 0, resets: 86_400 })
const limit = (fields: Partial<Limit>): Limit => ({ name: 'l', what: 'pictures', most: 10, per: 'day', scope: {}, soft: 0.8, stored: true, pots: [], ...fields })
const key = { id: 'key_1', name: 'ward' } as Key

describe('a limit in words', () => {
  it('says how much and how often', () => {
    expect(most(limit({}), 'CNY', 'zh')).toBe('每天最多 10 张图片')
    expect(most(limit({}), 'CNY', 'en')).toBe('At most 10 pictures a day')
    expect(most(limit({ most: 1 }), 'CNY', 'en')).toBe('At most 1 picture a day')
    expect(most(limit({ what: 'concurrency', per: null, most: 8 }), 'CNY', 'zh')).toBe('最多 8 个调用同时进行')
    expect(amount('money', 3000, 'CNY', 'zh')).toBe('3,000 元')
    expect(amount('money', 3000, 'EUR', 'en')).toBe('3,000 EUR')
  })
  it('says whom it concerns, and who shares', () => {
    expect(whom({}, plain, 'zh')).toBe('所有人合计')
    expect(whom({ key: '*' }, plain, 'zh')).toBe('每把密钥各算各的')
    expect(whom({ key: 'key_1' }, () => '护士站', 'zh')).toBe('密钥“护士站”')
    expect(whom({ department: 'icu' }, plain, 'en')).toBe('department “icu” together')
    expect(whom({ department: 'icu', user: '*' }, plain, 'en')).toBe('department “icu”, each user apart')
    expect(whom({ model: 'claude-*' }, plain, 'en')).toBe('models named claude-* together')
  })
})

describe('a pot', () => {
  it('is taken apart as the gateway put it together', () => {
    expect(parts('department=a%2Cb%3D,key=key_1')).toEqual([['department', 'a,b='], ['key', 'key_1']])
    expect(parts('')).toEqual([])
    expect(whose('user=', plain, 'zh')).toBe('没有用户的')
    expect(whose('department=icu,key=k', plain, 'en')).toBe('department icu · key k')
  })
  it('is shown by how full it is', () => {
    expect(fullest([pot('a', 0.1), pot('b', 0.9)]).map((each) => each.pot)).toEqual(['b', 'a'])
  })
  it("is a key's own", () => {
    const own = limit({ name: 'own', scope: { key: 'key_1' }, pots: [pot('key=key_1', 0.3)] })
    const fresh = limit({ name: 'fresh', scope: { key: 'key_1' } })
    const each = limit({ name: 'each', scope: { key: '*' }, pots: [pot('key=key_2'), pot('key=key_1', 0.5)] })
    const unspent = limit({ name: 'unspent', scope: { key: '*' }, pots: [pot('key=key_2')] })
    const found = potsOf(key, [own, fresh, each, unspent, limit({ name: 'all' })])
    expect(found.map(({ limit: { name }, pot: { share } }) => [name, share])).toEqual([['own', 0.3], ['fresh', 0], ['each', 0.5]])
  })
})

describe('a name for a limit', () => {
  it('holds no sign that the gateway refuses, and is nobody else’s', () => {
    expect(freeName('a/b = 每天,10;', [])).toBe('a b 每天 10')
    expect(freeName('x', ['x', 'x 2'])).toBe('x 3')
    expect(freeName('é'.repeat(100), []).length).toBeLessThanOrEqual(64)
    expect(freeName(' / ', [])).toBe('limit')
  })
})
