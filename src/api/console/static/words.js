// The page's words in two languages.
const WORDS = {
  en: {
    skip: "Skip to content", views: "Views", chat: "Chat", documents: "Documents", machine: "Machine", models: "Models", api: "API",
    keyAsked: "This service asks for an API key.", keyWrong: "The service refuses this key.", enter: "Enter", send: "Send", stop: "Stop",
    again: "Regenerate", edit: "Edit", copy: "Copy", fresh: "New conversation", exportJson: "Save as JSON", exportMarkdown: "Save as Markdown",
    model: "Model", system: "System prompt", temperature: "Temperature", limit: "Most tokens", message: "Message",
    attach: "Add a picture or PDF", thinking: "Reasoning", call: "Calls", restarting: "The engine restarts; the answer goes on.",
    figures: "{first} s to the first token, {rate} tokens/s, {tokens} tokens", stopped: "stopped",
    drop: "Drop a picture or PDF here, or choose one", reading: "Reading…", text: "Text", markdown: "Markdown", json: "JSON",
    confidence: "confidence", page: "Page", noText: "No text was found.", up: "up", running: "Running", waiting: "Waiting", rate: "Tokens/s",
    memory: "Memory", pages: "OCR pages/s", process: "Process", state: "State", restarts: "Restarts", detail: "Detail", uptime: "Uptime",
    pause: "Pause background work", resume: "Resume background work", paused: "Background work is paused.", advice: "Advice", load: "Load",
    unload: "Unload", offload: "Offload", size: "Size", gone: "The service does not answer.", history: "Conversations", remove: "Delete",
    background: "Background", logs: "Logs", settings: "Settings", cancel: "Cancel", pull: "Fetch", pullName: "A starter, or OWNER/NAME on a hub",
    sure: "Delete {name} from disk?", batch: "Batch", endpoint: "Endpoint", progress: "Progress", show: "Show", noBatches: "There are no batches and no running jobs.",
    waits: "It waits", failed: "failed", file: "File", level: "Level", request: "Request id", filter: "Filter", setting: "Setting",
    value: "Value", source: "Source", help: "Help", changed: "Only what differs from the defaults", turned: "Turned by",
    firstToken: "First token, half / 95 % of the last minute", gpuUse: "GPU use",
    docs: "Reference", route: "Route", path: "Path", body: "Body", try: "Send",
  },
  zh: {
    skip: "跳到内容", views: "视图", chat: "聊天", documents: "文档", machine: "机器", models: "模型", api: "API",
    keyAsked: "此服务需要 API 密钥。", keyWrong: "服务拒绝了这个密钥。", enter: "进入", send: "发送", stop: "停止",
    again: "重新生成", edit: "编辑", copy: "复制", fresh: "新对话", exportJson: "存为 JSON", exportMarkdown: "存为 Markdown",
    model: "模型", system: "系统提示", temperature: "温度", limit: "最多 token", message: "消息",
    attach: "添加图片或 PDF", thinking: "思考", call: "调用", restarting: "引擎正在重启，回答会继续。",
    figures: "首个 token {first} 秒，{rate} token/秒，共 {tokens} token", stopped: "已停止",
    drop: "把图片或 PDF 拖到这里，或选择文件", reading: "正在识别…", text: "文本", markdown: "Markdown", json: "JSON",
    confidence: "置信度", page: "页", noText: "没有找到文字。", up: "已运行", running: "运行中", waiting: "等待中", rate: "Token/秒",
    memory: "内存", pages: "OCR 页/秒", process: "进程", state: "状态", restarts: "重启", detail: "详情", uptime: "运行时间",
    pause: "暂停后台任务", resume: "恢复后台任务", paused: "后台任务已暂停。", advice: "建议", load: "加载",
    unload: "卸载", offload: "移出设备", size: "大小", gone: "服务没有应答。", history: "对话", remove: "删除",
    background: "后台", logs: "日志", settings: "设置", cancel: "取消", pull: "下载", pullName: "入门模型，或模型库上的 OWNER/NAME",
    sure: "从磁盘删除 {name}？", batch: "批次", endpoint: "端点", progress: "进度", show: "显示", noBatches: "没有批次，也没有进行中的作业。",
    waits: "正在等待", failed: "失败", file: "文件", level: "级别", request: "请求 id", filter: "筛选", setting: "设置项",
    value: "值", source: "来源", help: "说明", changed: "只看与默认值不同的", turned: "旋转",
    firstToken: "首个 token，最近一分钟的一半 / 95 %", gpuUse: "GPU 使用率",
    docs: "参考", route: "路由", path: "路径", body: "请求体", try: "发送",
  },
};
let language = localStorage.getItem("stoker-language") || (navigator.language.startsWith("zh") ? "zh" : "en");

export const word = (name, places = {}) => WORDS[language][name].replace(/\{(\w+)\}/g, (_, key) => places[key]);
export const other = () => (language === "en" ? "中文" : "English");

export function translate(root = document) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = word(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", word(element.dataset.label));
}

export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem("stoker-language", language);
}
