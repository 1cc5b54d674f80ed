import { describe, expect, it } from 'vitest'
import { around, isReaders, read } from './places'

// Answers of the reader to docs/img/contract.png, as they came.
const CHINESE = `签订日期：2024年6月22日
  — 读自“签订日期：2024年6月22日”，位置 [697, 307, 1014, 343]
合同总价：人民币163,149.00元
  — 读自“本合同总价为人民币163,149.00元（大写：壹拾陆万叁仟壹佰肆拾玖圆整），该价格已包含运输费及增值税。”，位置 [106, 670, 1114, 746]
质保期：18个月
  — 读自“质保期自验收合格之日起计18个月，质保期内出现质量问题的，乙方应免费维修或更换。”，位置 [133, 1055, 1099, 1087]
（离线降级阅读器：只用文字识别和规则，没有语言模型，请对照原文核对。）`
const ENGLISH = `it signed: 2024年6月22日
  — Read from “签订日期：2024年6月22日”, box [697, 307, 1014, 343]
total amount: 人民币163,149.00元
  — Read from “本合同总价为人民币163,149.00元（大写：壹拾陆万叁仟壹佰肆拾玖圆整），该价格已包含运输费及增值税。”, box [106, 670, 1114, 746]
(Offline degraded reader: text recognition and rules only, no language model. Please check against the original.)`
const ALONE = `第三条付款方式 合同生效后五日内，甲方向乙方支付合同总价的20%作为预付款；货物验收合格后三十日内付清余款。
  — 读自“第三条付款方式 合同生效后五日内，甲方向乙方支付合同总价的20%作为预付款；货物验收合格后三十日内付清余款。”，位置 [103, 756, 1115, 875]
（离线降级阅读器：只用文字识别和规则，没有语言模型，请对照原文核对。）`

describe('read', () => {
  it('finds values, labels and boxes in Chinese', () => {
    const found = read(CHINESE)
    expect(found?.findings.map((each) => [each.label, each.value])).toEqual([
      ['签订日期', '2024年6月22日'],
      ['合同总价', '人民币163,149.00元'],
      ['质保期', '18个月'],
    ])
    expect(found?.findings[0]?.places).toEqual([
      { file: 0, page: 0, line: '签订日期：2024年6月22日', box: [697, 307, 1014, 343] },
    ])
    expect(found?.note).toContain('没有语言模型')
    expect(found?.rest).toBe('')
  })
  it('finds them in English', () => {
    const found = read(ENGLISH)
    expect(found?.findings.map((each) => each.label)).toEqual(['it signed', 'total amount'])
    expect(found?.findings[1]?.places[0]?.box).toEqual([106, 670, 1114, 746])
    expect(found?.note).toMatch(/^Offline degraded reader/)
  })
  it('gives a single value no label, though there are colons and quotes in it', () => {
    const found = read(ALONE)
    expect(found?.findings).toHaveLength(1)
    expect(found?.findings[0]?.label).toBe('')
    expect(found?.findings[0]?.value).toMatch(/^第三条付款方式/)
    const quoted = read('他说：“好；读书”\n  — 读自“他说：“好；读书””，位置 [1, 2, 30, 40]')
    expect(quoted?.findings[0]?.places).toEqual([{ file: 0, page: 0, line: '他说：“好；读书”', box: [1, 2, 30, 40] }])
  })
  it('knows several places, files and pages, and lines without a box', () => {
    const found = read('12\n  — 读自第 2 个文件第 3 页“数量 12”，位置 [1, 2, 3, 4]；读自第 1 个文件“共 12”')
    expect(found?.findings[0]?.places).toEqual([
      { file: 1, page: 3, line: '数量 12', box: [1, 2, 3, 4] },
      { file: 0, page: 0, line: '共 12', box: null },
    ])
    const english = read('12\n  — Read from file 2 page 3 “n 12”, box [1.5, 2, 3, 4]')
    expect(english?.findings[0]?.places).toEqual([{ file: 1, page: 3, line: 'n 12', box: [1.5, 2, 3, 4] }])
    expect(read('12\n  — 讀自第 2 個文件第 3 頁“n”，位置 [1, 2, 3, 4]')?.findings[0]?.places[0]?.file).toBe(1)
  })
  it('keeps what is missing apart, and labels what is not', () => {
    const found = read('签订日期：2024年6月22日\n  — 读自“x”，位置 [1, 2, 3, 4]\n传真：文档中没有找到“传真”。')
    expect(found?.findings[0]?.label).toBe('签订日期')
    expect(found?.rest).toBe('传真：文档中没有找到“传真”。')
  })
  it('has nothing to say of an answer without places, or half of one', () => {
    expect(read('the answer of console-talk')).toBeNull()
    expect(read('签订日期：2024年6月22日\n  — 读自“签订')).toBeNull()
    expect(read('')).toBeNull()
  })
  it('takes no box that is none', () => {
    for (const text of ['5, 5, 5, 9', '1, 2, 3', '1, 2, 3, 4, 5', '9, 1, 2, 3']) {
      expect(read(`a\n  — 读自“b”，位置 [${text}]`)?.findings[0]?.places[0]?.box).toBeNull()
    }
  })
})

it('knows who answers without a language model', () => {
  expect(isReaders(CHINESE)).toBe(true)
  expect(isReaders('（这里说到离线降级阅读器：不是它说的')).toBe(false)
})

it('leaves paper around a box, and stays on the paper', () => {
  expect(around([100, 100, 200, 120], 1000, 1000)).toEqual([80, 96, 220, 124])
  expect(around([0, 0, 990, 20], 1000, 1000)[0]).toBe(0)
  expect(around([0, 0, 990, 20], 1000, 1000)[2]).toBe(1000)
})
