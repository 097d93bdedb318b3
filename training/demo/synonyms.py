"""Other words for the words of a training question, and words left out: held-out phrases use words no list foresees."""

from __future__ import annotations

import random
import re

SWAP_SHARE = 0.4
DROP_SHARE = 0.1
LOSE_SHARE = 0.02
KEY_WORDS_SHARE = 0.08

ALTERNATIVES: dict[str, dict[str, str]] = {
    "en": {
        "find": "locate, look for, discover, look up, get to, search for",
        "locate": "find, look for, look up",
        "show": "display, print, list, present, output, tell me",
        "see": "view, look at, inspect, watch, check, read, get, examine, observe",
        "view": "see, look at, inspect, read, open, display",
        "check": "test, see, verify, inspect, examine, look at, query",
        "read": "see, view, look at, open, get",
        "change": "modify, alter, adjust, edit, set, configure, tune, update, override, switch, control",
        "set": "change, configure, adjust, choose, define, specify, control, tweak",
        "configure": "set, set up, adjust, change, customise",
        "start": "launch, boot, run, begin, fire up, bring up, open, execute",
        "launch": "start, run, boot, open, execute, spin up",
        "run": "start, launch, execute, operate",
        "stop": "halt, terminate, end, quit, kill, shut down, exit, finish, close",
        "end": "stop, terminate, finish",
        "use": "employ, utilise, work with, try, take, apply, have",
        "load": "use, run, install, try, put in, set up, start, host, serve, import",
        "get": "obtain, fetch, receive, retrieve, have, see, find",
        "send": "post, submit, upload, pass, give, transmit",
        "bigger": "larger, greater, more powerful, huge, heavier, full, serious, stronger, more capable, smarter",
        "larger": "bigger, greater, more powerful, huge, full-size",
        "better": "smarter, more capable, superior, stronger, good",
        "real": "proper, full, serious, production, actual, genuine",
        "another": "a different, some other, a new, an other, an alternative",
        "raise": "increase, grow, boost, lift, extend, bump",
        "increase": "raise, grow, boost, lift, enlarge",
        "lower": "reduce, decrease, shrink, cut",
        "limit": "restrict, cap, bound, reduce, control, constrain",
        "image": "picture, photo, photograph, scan, screenshot, jpeg, png",
        "images": "pictures, photos, photographs, scans, screenshots",
        "picture": "image, photo, photograph, scan, screenshot",
        "photo": "image, picture, scan, screenshot, snapshot",
        "text": "words, writing, characters, letters, content",
        "extract": "read, recognise, get, pull, take, grab, detect, copy",
        "folder": "directory, place, path, location",
        "directory": "folder, place, path",
        "setting": "option, parameter, variable, knob, config value, environment variable",
        "settings": "options, parameters, variables, preferences, config, environment variables",
        "service": "server, program, application, app, system, software, daemon",
        "server": "service, program, application, app, daemon, api",
        "kept": "stored, saved, retained, held, preserved, left",
        "stored": "saved, kept, written, located, put",
        "keep": "store, save, retain, hold, preserve",
        "crashes": "dies, fails, breaks, goes down, is killed, stops, hangs",
        "crashed": "died, failed, broke, went down, stopped",
        "crash": "failure, breakdown, fault",
        "machine": "computer, laptop, mac, device, box, hardware, system",
        "computer": "machine, laptop, mac, pc, device",
        "choose": "select, pick, decide, set, change",
        "supported": "allowed, accepted, possible, permitted, available, ok",
        "support": "accept, allow, handle, take, understand",
        "delete": "remove, erase, purge, clear, drop",
        "deleted": "removed, erased, purged, dropped",
        "command": "instruction, line, order, call",
        "endpoint": "route, path, url, api, address, call, address path",
        "enable": "turn on, switch on, activate, allow",
        "answer": "response, reply, output, result",
        "answers": "responses, replies, outputs, results",
        "requests": "calls, queries, jobs, uploads",
        "request": "call, query, job",
        "errors": "failures, problems, exceptions, faults, error messages, bugs",
        "error": "failure, problem, exception, fault, error message",
        "logs": "log files, logfiles, log output, journal, log entries, protocol files",
        "tests": "unit tests, test suite, test cases, pytest",
        "chats": "conversations, dialogues, sessions, chat requests",
        "users": "people, clients, visitors, persons",
        "memory": "ram, main memory, unified memory",
        "gpu": "graphics card, graphics processor, video card, accelerator",
        "metrics": "counters, measurements, statistics, prometheus metrics",
        "slow": "sluggish, too slow, taking long",
        "what": "which",
        "which": "what",
        "where": "in which place, whereabouts",
        "prompts": "inputs, messages, texts",
        "logged": "recorded, written down, stored, saved, in the logs",
        "restart": "recover, start again, come back, reboot",
        "port": "tcp port, port number",
    },
    "zh": {
        "查看": "看 显示 检查 查 查询 看到 观看 了解",
        "看": "查看 显示 看到 查",
        "修改": "更改 改 调整 设置 设定 变更 改变 调",
        "设置": "设定 配置 调整 修改 参数",
        "启动": "开启 运行 开动 打开 开始 拉起",
        "运行": "启动 执行 跑 开",
        "停止": "关闭 终止 停掉 结束 停下 中止",
        "关闭": "停止 关掉 终止 停掉",
        "哪里": "哪儿 什么地方 何处 哪个位置 哪",
        "哪个": "什么 哪一个 啥",
        "什么": "啥 哪个 哪些",
        "文字": "文本 内容 字 字符",
        "图片": "图像 照片 图 截图 相片",
        "图像": "图片 照片 图",
        "识别": "读取 提取 辨认 读 认出 抽取",
        "提取": "读取 识别 获取 抽取 取出",
        "文件夹": "目录 路径 位置",
        "服务器": "服务 程序 系统 软件",
        "服务": "服务器 程序 应用 软件",
        "保存": "存放 存储 储存 保留 存",
        "保留": "保存 留存 存 留",
        "使用": "用 采用 利用 试用",
        "加载": "使用 载入 运行 装载 换成 导入 用",
        "获取": "得到 取得 拿到 获得 取",
        "更大的": "大一点的 更强的 大型 更厉害的 大的 更强大的",
        "更好的": "更强的 更聪明的 好一点的 更厉害的",
        "删除": "清除 清理 删掉 移除",
        "增加": "提高 加大 调高 增大",
        "提高": "增加 加大 调高 提升",
        "减少": "降低 调低 缩小",
        "崩溃": "挂掉 宕机 出故障 死掉 出错",
        "同时": "并发 一起 并行",
        "电脑": "机器 计算机 设备 笔记本",
        "机器": "电脑 计算机 设备 主机",
        "回答": "答案 回复 响应 输出",
        "支持": "兼容 接受 允许 可以用",
        "命令": "指令 命令行",
        "接口": "端点 api 地址 路径 url",
        "错误": "报错 异常 故障 出错信息",
        "日志": "日志文件 log 运行记录",
        "记录": "保存 写入 存储",
        "限制": "控制 减少 约束 上限",
        "选择": "挑选 切换 指定 决定",
        "查询": "查看 获取 查",
        "测试": "单元测试 测试用例",
        "用户": "人 客户 使用者",
        "指标": "监控数据 度量 统计数据",
        "端口": "端口号 监听端口",
        "内存": "内存用量 运存",
    },
}
SMALL_WORDS = frozenset("the a an i do to is are of my me it can does in for".split())  # noqa: SIM905
FRAME_WORDS = SMALL_WORDS | frozenset(
    [
        "how",
        "what",
        "which",
        "where",
        "when",
        "why",
        "who",
        "will",
        "would",
        "could",
        "should",
        "must",
        "may",
        "if",
        "you",
        "your",
        "we",
        "there",
        "that",
        "this",
        "with",
        "on",
    ]
)
_ZH_FRAME = re.compile("怎么样|怎么|如何|怎样|什么|哪里|哪个|请问|可以|应该|是|的|了|吗|呢|我|在|把|要|想")
_ZH = re.compile("(" + "|".join(sorted(ALTERNATIVES["zh"], key=len, reverse=True)) + ")")


def _other(word: str, choices: str, separator: str | None, rng: random.Random) -> str:
    if rng.random() >= SWAP_SHARE:
        return word
    return rng.choice([choice.strip() for choice in choices.split(separator)])


def _english(text: str, rng: random.Random) -> str:
    table = ALTERNATIVES["en"]
    kept = [word for word in text.split() if rng.random() >= (DROP_SHARE if word in SMALL_WORDS else LOSE_SHARE)]
    return " ".join(_other(word, table[word], ",", rng) if word in table else word for word in kept)


def _chinese(text: str, rng: random.Random) -> str:
    table = ALTERNATIVES["zh"]
    return _ZH.sub(lambda match: _other(match[0], table[match[0]], None, rng), text)


def _key_words(text: str, language: str) -> str:
    """The words that carry the meaning, as one types them into a search box."""
    if language == "zh":
        return _ZH_FRAME.sub("", text)
    return " ".join(word for word in text.split() if word not in FRAME_WORDS)


def vary(text: str, language: str, rng: random.Random) -> str:
    """The phrase with some words swapped or left out; never empty."""
    varied = (_english if language == "en" else _chinese)(text, rng)
    if rng.random() < KEY_WORDS_SHARE:
        bare = _key_words(varied, language)
        varied = bare if len(bare) > 3 else varied
    return varied or text
