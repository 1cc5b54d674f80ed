/** What is summed by, and what is shown of it. */
import type { Pair } from '../../shell/words'
import type { By, Measure } from './report'

export const BY_NAMES: Record<By, Pair> = {
  department: ['部门', 'Department'],
  user: ['用户', 'User'],
  key: ['密钥', 'Key'],
  model: ['请求的模型', 'Model asked for'],
  upstream: ['回答者', 'Answered by'],
}
export const MEASURE_NAMES: Record<Measure, Pair> = {
  cost: ['费用', 'Cost'],
  tokens: ['词元', 'Tokens'],
  pictures: ['图片', 'Pictures'],
  calls: ['调用', 'Calls'],
}
/** Whose calls those are that no name stands beside. */
export const NOBODY: Record<By, Pair> = {
  department: ['（不属于部门）', '(no department)'],
  user: ['（没有用户）', '(no user)'],
  key: ['（没有有效密钥）', '(no valid key)'],
  model: ['（未能识别）', '(not understood)'],
  upstream: ['（无人回答）', '(nobody answered)'],
}
