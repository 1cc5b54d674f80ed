/** What several pages of Govern say. */
import { say, talk, type Pair } from '../../shell/words'
import type { Permission } from '../../shell/session'
import { DIALECTS, type Effect, type Operation } from './wire'
import { EFFECT, OPERATION_NAME } from './rules'

export const t = talk({
  cancel: ['取消', 'Cancel'],
  save: ['保存', 'Save'],
  close: ['关闭', 'Close'],
  edit: ['编辑', 'Edit'],
  remove: ['删除', 'Delete'],
  none: ['无', 'none'],
  all: ['全部', 'All'],
  search: ['搜索', 'Search'],
  name: ['名称', 'Name'],
  department: ['部门', 'Department'],
  user: ['用户', 'User'],
  role: ['角色', 'Role'],
  key: ['密钥', 'Key'],
  model: ['模型', 'Model'],
  operation: ['操作', 'Operation'],
  state: ['状态', 'State'],
  limits: ['限额', 'Limits'],
  actions: ['可以做的事', 'Actions'],
  saved: ['已保存', 'Saved'],
  away: ['网关没有应答，请稍后再试', 'The gateway does not answer; try again in a moment'],
  removed: ['已删除', 'Deleted'],
  on: ['启用', 'Active'],
  off: ['已停用', 'Switched off'],
  configuration: ['配置文件', 'Configuration'],
  builtIn: ['内置', 'Built in'],
  own: ['自定义', 'Own'],
  readOnly: ['写在配置文件里，只能在文件里改', 'Stands in the configuration file, and is changed there only'],
  confined: ['不出门', 'Confined'],
  needed: ['请填写', 'This is needed'],
  more: ['再显示 {0} 项', 'Show {0} more'],
  optional: ['可不填', 'optional'],
})

export const PERMISSIONS: Record<Permission, { name: Pair; help: Pair }> = {
  call: { name: ['调用', 'Call'], help: ['提问、看图、绘图、检索：调用模型', 'Ask, read pictures, draw and search: calls to models'] },
  operate: { name: ['运维', 'Operate'], help: ['看总览，管理模型发布，跑演习，读配置', 'See the overview, manage releases of models, run the drill, read the configuration'] },
  audit: { name: ['审计', 'Audit'], help: ['查调用记录，核对是否被改过，看用量和费用', 'Read the records of calls, verify them, see what was used and spent'] },
  govern: { name: ['治理', 'Govern'], help: ['管理部门、用户、密钥、角色、限额和规则（就是这一页）', 'Manage departments, users, keys, roles, limits and rules: these pages'] },
}
export const ALL_PERMISSIONS = ['call', 'operate', 'audit', 'govern'] as const

const ROLES: Record<string, Pair> = {
  admin: ['管理员', 'Administrator'],
  operator: ['运维', 'Operator'],
  auditor: ['审计员', 'Auditor'],
  member: ['成员', 'Member'],
}
/** A role as people call it; those that are built in have names in both languages. */
export const roleName = (role: string): string => (role in ROLES ? say(ROLES[role] as Pair) : role)

export const effectName = (effect: Effect): string => say(EFFECT[effect])
export const operationName = (operation: Operation): string => say(OPERATION_NAME[operation])
const DIALECT: Record<string, string> = {
  anthropic: 'Anthropic Messages',
  'openai-chat': 'OpenAI Chat',
  'openai-responses': 'OpenAI Responses',
  'openai-images': 'OpenAI Images',
  'openai-embeddings': 'OpenAI Embeddings',
}
export const dialects = DIALECTS.map((value) => ({ value, label: DIALECT[value] ?? value }))
