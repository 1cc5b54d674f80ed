import { expect, test } from 'vitest'
import { language, say } from './words'

test('what is filled in stands where the number is, in either language', () => {
  language.value = 'zh'
  expect(say(['共 {0} 张,{1} 张完成', '{1} of {0} done'], 4, 2)).toBe('共 4 张,2 张完成')
  language.value = 'en'
  expect(say(['共 {0} 张,{1} 张完成', '{1} of {0} done'], 4, 2)).toBe('2 of 4 done')
  expect(say(['{0}', '{0} and {1}'], 1)).toBe('1 and {1}')
})
