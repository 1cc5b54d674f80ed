/** What the short words of a record mean to people. */
import type { Pair } from '../../shell/words'
import { say } from '../../shell/words'
import type { Field, Range } from './search'

export const FIELD_NAMES: Record<Field, Pair> = {
  id: ['请求编号', 'Request id'],
  department: ['部门', 'Department'],
  user: ['用户', 'User'],
  key: ['密钥', 'Key'],
  model: ['请求的模型', 'Model asked for'],
  upstream: ['回答者', 'Answered by'],
  outcome: ['结果', 'Outcome'],
  tier: ['来源', 'Tier'],
  operation: ['操作', 'Operation'],
  rule: ['规则', 'Rule'],
  confined: ['不出本单位', 'Confined'],
  cache: ['缓存', 'Cache'],
  dialect: ['接口', 'API'],
  node: ['节点', 'Node'],
}

export const RANGE_NAMES: Record<Range, Pair> = {
  today: ['今天', 'Today'],
  '24h': ['24 小时', '24 hours'],
  '7d': ['7 天', '7 days'],
  month: ['本月', 'This month'],
  all: ['全部', 'All time'],
  own: ['自定义', 'Custom'],
}

export const OUTCOMES: Record<string, Pair> = {
  ok: ['已回答', 'Answered'],
  rejected: ['上游拒收', 'Rejected'],
  refused: ['网关拒绝', 'Refused'],
  failed: ['无人能答', 'Failed'],
  interrupted: ['中途断开', 'Interrupted'],
  left: ['调用方离开', 'Caller left'],
}
export const OUTCOMES_WHY: Record<string, Pair> = {
  ok: ['回答完整送达。', 'The whole answer was delivered.'],
  rejected: ['上游认为请求本身有问题，原样退回给调用方，没有再问别处。', 'The upstream found a mistake in the request; its words went back unchanged, and nobody else was asked.'],
  refused: ['网关没有放行：请求、密钥、权限或限额有问题，没有询问任何上游。', 'The gateway did not let it through: something was wrong with the request, the key, a permission or a limit. No upstream was asked.'],
  failed: ['计划中的目标都没能回答。', 'None of the targets in the plan could answer.'],
  interrupted: ['已经送出一部分内容之后断开，没有谁能接着写完。', 'It broke off after part of the answer had gone out, and nobody could go on with it.'],
  left: ['调用方在回答完成之前断开了连接。', 'The caller closed the connection before the answer was complete.'],
}

export const OPERATIONS: Record<string, Pair> = {
  text: ['文字问答', 'Text'],
  vision: ['看图问答', 'Vision'],
  generate: ['画图', 'Draw'],
  edit: ['改图', 'Edit a picture'],
  embed: ['向量', 'Embed'],
}

export const DIALECTS: Record<string, Pair> = {
  anthropic: ['Anthropic Messages', 'Anthropic Messages'],
  'openai-chat': ['OpenAI Chat', 'OpenAI Chat'],
  'openai-responses': ['OpenAI Responses', 'OpenAI Responses'],
  'openai-images': ['OpenAI Images', 'OpenAI Images'],
  'openai-embeddings': ['OpenAI Embeddings', 'OpenAI Embeddings'],
}

export const TIERS: Record<string, Pair> = {
  cloud: ['云端', 'Cloud'],
  local: ['本地', 'Local'],
  degraded: ['降级', 'Degraded'],
}

export const CACHES: Record<string, Pair> = {
  hit: ['用了保存的回答', 'A kept answer'],
  shared: ['与同时的相同请求共用', 'Shared with the same call'],
  miss: ['没有可用的', 'None was kept'],
}
export const CACHES_WHY: Record<string, Pair> = {
  hit: ['完全相同的问题以前回答过，直接给出保存的回答，没有询问任何人，也不计词元。', 'The very same question was answered before: the kept answer was given, nobody was asked, and no tokens were charged.'],
  shared: ['同时有一个完全相同的请求，两者共用一份回答。', 'An identical call was under way: both were given one answer.'],
  miss: ['没有保存过这个问题的回答，照常询问。', 'No answer to this question was kept, so it was asked.'],
}

export const ROLES: Record<string, Pair> = {
  user: ['提问', 'Asked'],
  assistant: ['回答', 'Answered'],
  system: ['系统提示', 'Instructions'],
  developer: ['系统提示', 'Instructions'],
  tool: ['工具结果', 'A tool said'],
}

export const YES_NO: Record<string, Pair> = { true: ['是', 'Yes'], false: ['否', 'No'] }

/** The closed list of faults: what happened, and what that means. */
export const FAULTS: Record<string, { name: Pair; why: Pair }> = {
  dns: { name: ['域名解析失败', 'Name not found'], why: ['它的域名解析不出地址；多半是断网，或 DNS 有问题。', 'Its host name did not resolve: the network or the DNS was probably down.'] },
  refused: { name: ['连接被拒绝', 'Connection refused'], why: ['那台机器在，但端口没有打开；服务多半没有运行。', 'The machine was there, its port was closed: the service was probably not running.'] },
  unreachable: { name: ['网络不可达', 'Unreachable'], why: ['没有通往它的路由，或代理不放行。', 'There was no route to it, or the proxy did not let us through.'] },
  tls: { name: ['TLS 失败', 'TLS failed'], why: ['证书不可信，或双方谈不成加密方式。', 'Its certificate could not be trusted, or no encryption could be agreed on.'] },
  connect_timeout: { name: ['连接超时', 'Connecting took too long'], why: ['在规定时间内没有连上。', 'It was not connected within the time allowed.'] },
  first_byte_timeout: { name: ['等第一段内容超时', 'No content in time'], why: ['连上了，但在规定时间内没有给出任何内容。', 'It was connected, and said nothing within the time allowed.'] },
  idle_timeout: { name: ['回答中途停顿', 'Fell silent'], why: ['说到一半停住，超过了允许的时间。', 'It stopped in the middle of its answer for longer than allowed.'] },
  total_timeout: { name: ['总时间超时', 'Took too long'], why: ['在允许的总时间内没有答完。', 'It was not done within the total time allowed.'] },
  cut: { name: ['回答被截断', 'Answer cut off'], why: ['连接在回答结束之前断开。', 'The connection ended before the answer did.'] },
  malformed: { name: ['回答格式错误', 'Malformed answer'], why: ['收到的内容不是这种接口的回答。', 'What came was not an answer of this API.'] },
  empty: { name: ['空回答', 'Empty answer'], why: ['状态是成功，里面却没有回答。', 'It said success, with no answer in it.'] },
  server_error: { name: ['服务器错误', 'Server error'], why: ['它自己出了错（5xx）。', 'It had a fault of its own (5xx).'] },
  overloaded: { name: ['服务器过载', 'Overloaded'], why: ['它说自己忙不过来。', 'It said that it had too much to do.'] },
  rate_limited: { name: ['被限流', 'Rate limited'], why: ['我们在它那里的调用太频繁（429）。', 'We asked it more often than it allows (429).'] },
  billing: { name: ['欠费或额度用尽', 'Credit spent'], why: ['我们在它那里的余额或额度用完了。', 'Our balance or quota there is used up.'] },
  region_blocked: { name: ['地区被封锁', 'Region blocked'], why: ['它不为我们所在的地区服务。', 'It does not serve where we are.'] },
  unauthorized: { name: ['密钥无效或没有权限', 'Not authorised'], why: ['它不接受我们的密钥或账号。', 'It did not accept our key or organisation.'] },
  model_missing: { name: ['没有这个模型', 'No such model'], why: ['它没有所要的模型。', 'It does not have the model that was wanted.'] },
  breaker_open: { name: ['熔断中，没有询问', 'Skipped: breaker open'], why: ['它刚才接连失败，熔断器已打开，所以没有再等它。', 'It had failed several times in a row, so its breaker was open and nobody waited for it.'] },
  bulkhead_full: { name: ['并发已满，没有询问', 'Skipped: full'], why: ['同时进行的调用已达上限，也排不上队。', 'As many calls as allowed were open there already, and there was no place in the line.'] },
  outrun: { name: ['被更快的抢先', 'Outrun'], why: ['同时也问了另一个目标，那个先给出了内容；这个立刻关闭，不计费。', 'Another target was asked beside it and had content first; this one was closed and costs nothing.'] },
  ok: { name: ['给出了回答', 'Answered'], why: ['', ''] },
}

export const ERRORS: Record<string, Pair> = {
  invalid_request_error: ['请求写得不对：字段、取值或大小有问题。', 'Something in the request was wrong: a field, a value or its size.'],
  authentication_error: ['没有带有效的密钥。', 'It came without a valid key.'],
  permission_error: ['没有权限，或有规则禁止。', 'A permission was missing, or a rule forbids it.'],
  rate_limit_error: ['限额已用完。', 'A limit was used up.'],
  not_found_error: ['要的东西不存在，例如没有这个模型。', 'What was asked for does not exist, such as the model.'],
  request_too_large: ['请求太大。', 'The request was too large.'],
  api_error: ['处理过程中出了错。', 'Something went wrong while it was handled.'],
  overloaded_error: ['当时没有谁能回答：都不可用，或都满了。', 'Nobody could answer at that time: all were away or full.'],
  'the upstream rejected the request': ['上游认为请求有误，它的说明已原样交给调用方。', 'The upstream found a mistake in the request; the caller was given its words.'],
}

export const REASONS: Record<string, Pair> = {
  department: ['这个部门的数据不出本单位', 'what this department asks stays in the house'],
  key: ['这个密钥的数据不出本单位', 'what this key asks stays in the house'],
  model: ['问这个模型的内容不出本单位', 'what is asked of this model stays in the house'],
  header: ['调用方在请求头里要求不出本单位', 'the caller demanded it in a header'],
  detected: ['检测到{0}', 'it holds {0}'],
  noted: ['检测到{0}（只作记录）', 'it holds {0} (only noted)'],
  unread: ['有读不了的图片或文件', 'it holds pictures or documents that nobody could read'],
  masking: ['图片里有应打码的标识，而图片无法打码', 'a picture holds what should be masked, and masking cannot reach into pictures'],
  default: ['没有规则提到它，按默认处理', 'no rule speaks of it: the default decided'],
  rule: ['规则“{0}”', 'rule “{0}”'],
}

export const KINDS: Record<string, Pair> = {
  resident_id: ['身份证号', 'a resident id'],
  mobile: ['手机号', 'a mobile number'],
  bank_card: ['银行卡号', 'a bank card'],
  passport: ['护照号', 'a passport number'],
  credit_code: ['统一社会信用代码', 'a social credit code'],
  record_number: ['病历号', 'a record number'],
  medical: ['病情内容', 'medical text'],
}

export const BECAME: Record<string, Pair> = {
  t: ['图片，{0} 个图块，按原样（已去元数据）交给目标', 'a picture, as it came without its metadata (patches: {0})'],
  p: ['PDF，画成 {0} 页交给目标', 'a PDF, drawn page by page (pages: {0})'],
  w: ['PDF,{0} 页只含文字，只交出文字', 'a PDF, given as its words alone (pages: {0})'],
  pdf: ['PDF，目标自己读取', 'a PDF that the target read by itself'],
  text: ['文本文件', 'a document of text'],
  url: ['链接，目标自己去取（摘要是链接的）', 'a link that the target followed by itself (the digest is the link’s)'],
  file: ['文件编号，目标自己读取（摘要是编号的）', 'a file id that the target knew (the digest is the id’s)'],
}

/** The words for a value, or the value itself where there are none. */
export function word(table: Record<string, Pair>, value: string): string {
  const pair = table[value]
  return pair ? say(pair) : value
}

const TABLES: Partial<Record<Field, Record<string, Pair>>> = {
  outcome: OUTCOMES,
  tier: TIERS,
  operation: OPERATIONS,
  confined: YES_NO,
  cache: CACHES,
  dialect: DIALECTS,
}
export const valueOf = (field: Field, value: string): string => word(TABLES[field] ?? {}, value)
