"""The help topics of the demo model: what people ask about Stoker and the short, current answer to each.

Phrases are patterns, one a line; `{a|b}` stands for any of its alternatives. `do` phrases complete "How do I ...",
`about` phrases complete "Tell me about ...", `ask` phrases are whole questions.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """Ways to raise one topic in one language."""

    ask: str = ""
    do: str = ""
    about: str = ""


@dataclass(frozen=True)
class Topic:
    """One thing the model is taught, with the strings that prove an answer right and current."""

    id: str
    en: Phrases
    zh: Phrases
    answer_en: str
    answer_zh: str
    key_facts: tuple[str, ...]
    stands_in_readme: tuple[str, ...]
    key_facts_zh: tuple[str, ...] = ()

    def keys(self, language: str) -> tuple[str, ...]:
        """Strings that a right answer in this language contains."""
        return self.key_facts_zh if language == "zh" and self.key_facts_zh else self.key_facts

    def answer(self, language: str) -> str:
        """The answer taught for this language."""
        return self.answer_zh if language == "zh" else self.answer_en


TOPICS: tuple[Topic, ...] = (
    Topic(
        id="identity",
        en=Phrases(
            ask="""
            who are you
            what are you
            {what is|what's} your name
            what model {are you|is this|am i talking to|am i chatting with}
            which model {are you|is this|am i talking to|answers me|is running}
            who am i {talking|speaking|chatting} {to|with}
            are you {a demo|a small|the demo|a real|a big} model
            are you {chatgpt|gpt-4|qwen|llama|claude|gemini|an ai|a robot|a bot|human|a person|a language model}
            introduce yourself
            tell me {about|something about} yourself
            {do you have|have you got} a name
            what kind of {model|assistant|ai|bot} are you
            how {big|large|small} are you
            how many parameters do you have
            what should i call you
            who {made|trained|built|created} you
            am i {talking|speaking} to a {real|big|small|demo} model
            {tell me|what is} your {model name|name please|identity}
            say who you are
            are you {clever|smart|intelligent|stupid|small|real}
            where do you come from
            can you introduce yourself
            what's your {model|size|version}
            """,
            about="""
            yourself
            this {assistant|chat model|bot}
            the demo model
            """,
        ),
        zh=Phrases(
            ask="""
            你是谁
            您是谁
            你叫什么{名字|}
            你的名字是什么
            你是什么模型
            你是{哪个|哪种|什么样的}模型
            我在{和|跟}谁{说话|聊天|对话}
            你是{真正的|演示|小|大}模型吗
            你是{人|机器人|人工智能|真人}吗
            请{介绍一下自己|自我介绍}
            介绍一下你自己
            {现在|这里}运行的是{什么|哪个}模型
            你有多大
            你有多少参数
            谁{训练|创造|制作}了你
            你是{聪明|真实|智能}的吗
            告诉我你是谁
            你{到底|究竟}是谁
            这是什么模型
            你是{谁|哪家公司}{训练|开发|做}的
            你是{chatgpt|gpt|通义千问|文心一言|llama}吗
            """,
            about="""
            你自己
            演示模型
            这个助手
            """,
        ),
        answer_en="I am Stoker's small demo model and know only a little about this service. A real model: "
        "`python run.py pull mlx-community/Qwen3-4B-4bit`, then set `DEFAULT_MODEL` in `.env`.",
        answer_zh="我是 Stoker 的小型演示模型，只懂一点这个服务的知识。真正的模型："
        "`python run.py pull mlx-community/Qwen3-4B-4bit`，然后在 `.env` 里设置 `DEFAULT_MODEL`。",
        key_facts=("Stoker", "demo model", "python run.py pull", "DEFAULT_MODEL"),
        key_facts_zh=("Stoker", "演示模型", "python run.py pull", "DEFAULT_MODEL"),
        stands_in_readme=("Stoker", "python run.py pull mlx-community/Qwen3-4B-4bit", "DEFAULT_MODEL", ".env"),
    ),
    Topic(
        id="service",
        en=Phrases(
            ask="""
            what is {this|stoker|this service|this server|this project|this program|this software}
            what's {this|stoker|this service|this server|this project}
            what does {this|stoker|the service|this server|this project} do
            what is {stoker|this service|this server|this project|it} {for|good for|used for}
            what can {stoker|the service|this server|this project} do
            {explain|describe} {stoker|this service|this project|this server}
            what kind of {server|service|project|software} is {this|stoker|it}
            why would i use {stoker|this|this service}
            what do i get with {stoker|this server}
            give me a {summary|short description|overview} of {stoker|this project|the service}
            what is the {purpose|point|use|goal} of {stoker|this service|this server|this project|it}
            tell me what {stoker|this service|this server} {is|does}
            what {program|app|tool} is this
            what is running here
            """,
            about="""
            stoker
            {this|the} {service|server|project|software}
            """,
        ),
        zh=Phrases(
            ask="""
            {这|这个服务|stoker|这个项目|这个软件}是什么
            {这个服务|stoker|这个项目|这个服务器}{能做什么|是做什么的|有什么用|是干什么的}
            什么是 stoker
            介绍一下{stoker|这个服务|这个项目|这个服务器}
            stoker 有{什么|哪些}功能
            为什么要用 stoker
            这是{什么|哪种}{服务|软件|项目}
            {这个服务|这个项目}的用途是什么
            stoker 的{用途|作用|功能}是什么
            {这个服务|服务器|stoker}有什么{用处|作用|用途}
            这{是|算}一个什么{服务器|服务|程序}
            """,
            about="""
            stoker
            这个{服务|项目|服务器}
            """,
        ),
        answer_en="This is Stoker, an OpenAI-compatible chat and OCR server. It runs language models with MLX and "
        "reads text from images.",
        answer_zh="这是 Stoker：一个兼容 OpenAI 接口的聊天和 OCR 服务器，用 MLX 运行语言模型，也能识别图片里的文字。",
        key_facts=("Stoker", "OpenAI-compatible chat and OCR server"),
        key_facts_zh=("Stoker", "OpenAI", "OCR"),
        stands_in_readme=("an OpenAI-compatible chat and OCR server",),
    ),
    Topic(
        id="start",
        en=Phrases(
            ask="""
            {what is|what's} the {start command|command to start|command that starts the service}
            which command {starts|launches|runs} {the service|the server|stoker|it}
            how is {the service|the server|stoker} {started|launched}
            how does {the service|stoker|one} {start|get started}
            {the service|the server|stoker} {is not|isn't} running, how do i {start it|launch it|bring it up}
            how to {start|launch|run|boot} {the service|the server|stoker|it|this}
            how does {the service|the server|stoker} get {started|launched}
            what do i type to {start|run|launch} {it|the server|stoker}
            """,
            do="""
            {start|launch|boot|run} {the service|the server|stoker|it|this|this server|this thing}
            {start|launch|run} {stoker|the service|the server} in {production|prod|production mode|prod mode}
            bring {the service|the server|stoker|it} up
            get {the service|the server|stoker|it} {running|started|going|up}
            turn {the service|the server|stoker} on
            {boot|spin|fire|start} up {the service|the server|stoker}
            run {it|stoker} for real {use|users}
            """,
            about="""
            {starting|launching|running} {the service|the server|stoker}
            {production|prod} mode
            """,
        ),
        zh=Phrases(
            ask="""
            {启动|运行|开启}{服务|服务器|stoker}的命令是什么
            用{什么|哪个}命令{启动|运行|开启}{服务|服务器|stoker}
            {服务|服务器|stoker}{怎么|如何|怎样}{启动|运行|开启|跑起来}
            {服务|服务器}没有{启动|运行}怎么办
            生产模式{怎么|如何}{启动|运行}
            {怎么|如何|怎样}{启动|运行|开启|打开}{服务|服务器|stoker|这个程序}
            启动命令{是什么|是哪个|}
            """,
            do="""
            {启动|运行|开启|打开}{服务|服务器|stoker|这个服务|它}
            把{服务|服务器|stoker}{跑起来|启动起来|开起来}
            在生产模式下{运行|启动}
            让{服务|服务器|stoker}{运行|开始工作}
            开始{服务|运行服务|使用服务}
            """,
            about="""
            {启动|运行}{服务|服务器}
            生产模式
            {启动方法|启动命令|正式运行|生产环境}
            """,
        ),
        answer_en="Start the service with `make serve` or `python run.py --mode prod`.",
        answer_zh="启动服务：`make serve` 或 `python run.py --mode prod`。",
        key_facts=("make serve", "python run.py --mode prod"),
        stands_in_readme=("make serve", "python run.py --mode prod"),
    ),
    Topic(
        id="address",
        en=Phrases(
            ask="""
            {what|which} port {does|is} {it|the service|the server|stoker} {use|using|listening on|on|run on|listen on}
            {what|which} {is|'s} the {address|url|port|host} of {the service|the server|stoker|this service}
            where does {the service|the server|stoker|it} {listen|run|answer}
            {what|which} {address|url|port} do i {use|open|connect to|call|need}
            on which {port|address|host} does {it|stoker|the server} listen
            the port is {taken|already in use|busy|occupied}, what can i do
            port 8000 is {taken|already in use|busy|occupied}
            {what|which} {setting|variable} {changes|sets|controls} the {port|host|address}
            {what|which} number is the port
            what is the {default|} {port|address|url|host}
            where can i {reach|find|open} {the service|the server|stoker} in {a|my} browser
            {what|which} {ip|ip address|host name} {is|does} {it|the server} {use|on|}
            """,
            do="""
            {change|set|choose|configure|pick} the {port|host|address|listening address}
            use {another|a different|a new} {port|address|host}
            {reach|connect to|open|call|access} {the service|the server|stoker} {in my browser|over http|}
            listen on {another|a different} {port|address}
            make it listen on all {addresses|interfaces}
            """,
            about="""
            the {port|address|url|host|base address}
            {HOST|PORT}
            {the|} {HOST|PORT} setting
            """,
        ),
        zh=Phrases(
            ask="""
            {服务|服务器|stoker}的{地址|端口|网址}是{什么|多少|哪个}
            {服务|服务器|stoker}{在|用}哪个{端口|地址}
            监听{哪个|什么}{端口|地址}
            我{应该|要}{访问|连接|打开}{哪个|什么}{地址|端口|网址}
            端口{被占用|冲突}了怎么办
            8000 端口{被占用|用不了}了
            {端口|地址}在哪里{改|设置}
            默认{端口|地址}是{什么|多少}
            在浏览器里打开哪个{地址|网址}
            {怎么|如何}{连接|访问}{服务|服务器|stoker}
            """,
            do="""
            {改|修改|设置|更改|换}{端口|地址|监听地址|端口号}
            {访问|连接}{服务|服务器|stoker}
            {用|换成}{另一个|别的}端口
            {连上|连到|进入}{服务|服务器}
            """,
            about="""
            {端口|地址|网址|端口号}
            {HOST|PORT} 设置
            """,
        ),
        answer_en="The service listens on `http://127.0.0.1:8000`. Change it with `PORT` and `HOST` in `.env`.",
        answer_zh="服务的地址是 `http://127.0.0.1:8000`。可以在 `.env` 里用 `PORT` 和 `HOST` 修改。",
        key_facts=("http://127.0.0.1:8000", "PORT", ".env"),
        stands_in_readme=("http://127.0.0.1:8000", "PORT", "HOST", ".env"),
    ),
    Topic(
        id="bigger_model",
        en=Phrases(
            ask="""
            {what|which} {setting|variable} {chooses|selects|sets|changes} the model
            where do i {put|place|set|choose} {my|the|a bigger|a real|another} model
            you are too {small|dumb|weak|stupid|limited}, how do i get a {better|bigger|real|smarter} {one|model}
            {can|could} {i|we|it|stoker|this} {use|load|run} {a bigger|a larger|another|a different|a real|\
                a better} model
            does {it|stoker|this} {support|run|load} {bigger|larger|other|real|hugging face|local} models
            how to {load|use|run|install|get} {a bigger|a larger|another|a different|a real|a better} model
            how is {a bigger|another|a real|a larger} model {loaded|installed|used}
            the answers are {bad|poor|too simple}, how can i get better ones
            where do models come from
            how {do i|can i|to} {download|pull|fetch} {a model|models|a bigger model|a model from hugging face|weights}
            how do i {upgrade|switch} to a {bigger|better|real|larger} model
            {what|which} file do i edit to {change|switch} the model
            i {want|need|would like} a {bigger|better|smarter|real|larger} model
            is there a {bigger|better|smarter|larger} model
            """,
            do="""
            {load|use|run|try|pull|get|install|download|add|choose|serve} a {bigger|larger|real|better|different|new|\
                smarter|stronger|proper|more capable} model
            {load|use|run|pull|serve|download} {another|my own|a local|some other|a big|a large} model
            {change|switch|swap|replace|set} the {model|default model|demo model|language model}
            {load|use|run|get|serve} {qwen|qwen3|llama|mistral|a qwen model|a llama model|gemma}
            {use|load|run|pull|download} a {hugging face model|model from hugging face|model from the hub|\
                huggingface model}
            {load|use|serve} a model from {a folder|a local folder|disk|my disk|a directory}
            {replace|get rid of} {the demo model|this demo|this small model}
            switch to {another|a bigger|a different|a real|a better} model
            {get|have} {better|smarter} answers
            upgrade the model
            {make|have} the model {bigger|smarter|better}
            {improve|upgrade} the {answers|model|quality of the answers}
            pull a real model from the hub
            """,
            about="""
            {bigger|larger|real|other|better|hugging face} models
            {DEFAULT_MODEL|the DEFAULT_MODEL setting}
            {changing|switching|loading|choosing} {models|the model|a model}
            """,
        ),
        zh=Phrases(
            ask="""
            {哪个|什么}{设置|变量|参数}{选择|决定}模型
            {能|可以|能不能|可不可以}{用|加载|运行}{更大的|别的|其他|真正的|更好的}模型{吗|}
            支持{更大的|其他|本地}模型吗
            模型{在哪里|怎么}{换|设置|选择|下载}
            你太{小|笨|弱}了，怎么{换|用}{更好的|更大的|真正的}模型
            {回答|答案}太{差|简单}，怎么{改进|办}
            怎样{才能|}{得到|获得}更好的{回答|答案}
            {怎么|如何|怎样}{换|加载|使用|下载}{大|更大的|大一些的|好一点的}模型
            我{想要|需要}{更大|更好|更聪明|真正}的模型
            有没有{更大|更好|更聪明}的模型
            """,
            do="""
            {加载|使用|用|运行|换|下载|安装|换成}{更大的|大一点的|更好的|真正的|别的|其他|另一个|新的|更强的|\
                更聪明的}模型
            {换|切换|更换|修改|替换}{模型|默认模型|演示模型}
            {加载|使用|用|运行}{本地|自己的|我的|本地文件夹里的}模型
            从 hugging face {下载|加载}模型
            {加载|使用|运行} {qwen|llama|qwen3} {模型|}
            {升级|改进}模型
            {改善|提高}{回答|答案}{质量|的质量}
            """,
            about="""
            {更大的|其他|真正的|本地}模型
            {更换|加载|下载}模型
            DEFAULT_MODEL {设置|}
            {默认模型|大模型|更大的模型}
            """,
        ),
        answer_en="Get a bigger model with `python run.py pull mlx-community/Qwen3-4B-4bit`, then put "
        "`DEFAULT_MODEL=mlx-community/Qwen3-4B-4bit` into `.env` and restart.",
        answer_zh="更大的模型用 `python run.py pull mlx-community/Qwen3-4B-4bit` 下载，"
        "然后在 `.env` 里写 `DEFAULT_MODEL=mlx-community/Qwen3-4B-4bit` 并重启。",
        key_facts=(
            "python run.py pull mlx-community/Qwen3-4B-4bit",
            "DEFAULT_MODEL=mlx-community/Qwen3-4B-4bit",
            ".env",
        ),
        stands_in_readme=(
            "python run.py pull mlx-community/Qwen3-4B-4bit",
            "DEFAULT_MODEL=mlx-community/Qwen3-4B-4bit",
            ".env",
        ),
    ),
    Topic(
        id="logs",
        en=Phrases(
            ask="""
            where {are|can i find|do i find|do i see|do you keep|do you write|does it keep|does stoker put} {the|\
                your|its|my|all} {logs|log files}
            where is {the log|the log file|the log folder|app.log|the api log|the request log}
            {what|which} {folder|directory|path} {has|holds|contains|keeps} {the|} {logs|log files}
            {what|which} log files {are there|exist|does it write|do you have}
            where does {it|stoker|the service|the server} {log|write its logs|log to|store logs|save the logs}
            where to {find|look for|see|read} {the|} {logs|log files}
            where {is|are} {the|} {requests|api requests|model operations|system metrics} logged
            {what|which} file {logs|records} {the requests|requests|the model operations|system metrics}
            is there a log {file|folder|}
            in {what|which} {folder|directory} are the {logs|log files}
            where {are|is} {the|} {log output|application log|service log|logs of the service} {kept|stored|saved|\
                written|located}
            {logs|log files} where
            what is logged where
            where do the {logs|log files} {go|live|end up}
            show me {the|} {logs|log files|log folder}
            """,
            do="""
            {find|see|read|view|open|look at|check|get|inspect|show|locate} {the|my|its|your} {logs|log files|log|\
                service logs}
            see what {happened|was logged|the service did}
            {get to|reach|browse|tail} {the|} {logs|log files|log folder}
            """,
            about="""
            {the|} {logs|log files|logging}
            {the logs folder|the log folder|log locations}
            """,
        ),
        zh=Phrases(
            ask="""
            {日志|日志文件}在{哪里|哪儿|哪个文件夹|什么地方|哪}
            {日志|日志文件}{保存|存放|放|写|存}在{哪里|哪儿|哪个文件夹|什么地方}
            {哪里|在哪里|在哪儿|哪儿}{能|可以|}{看到|查看|找到|看|找}{日志|日志文件}
            有{哪些|什么}日志{文件|}
            日志{文件夹|目录}{是什么|在哪里|是哪个}
            {请求|接口请求|模型操作|系统指标}{日志|记录}在哪里
            有没有日志
            {服务|系统|程序|运行}日志{在哪里|在哪|放在哪里}
            日志{写到|输出到|存到}{哪里|哪个文件|什么地方}
            我{去哪里|到哪里|在哪里}{看|找|查}日志
            """,
            do="""
            {查看|看|找到|找|打开|读|检查}{日志|日志文件|服务日志|运行日志}
            {打开|查找|寻找|获取}{日志|日志文件|日志文件夹}
            """,
            about="""
            日志
            日志{文件|文件夹|位置|目录}
            """,
        ),
        answer_en="The logs are in the `logs/` folder: `app.log`, `api_requests.log`, `model_operations.log`, "
        "`system_metrics.log` and `errors.log`.",
        answer_zh="日志在 `logs/` 文件夹里：`app.log`、`api_requests.log`、`model_operations.log`、"
        "`system_metrics.log` 和 `errors.log`。",
        key_facts=("logs/", "app.log", "api_requests.log", "errors.log"),
        stands_in_readme=(
            "logs/",
            "app.log",
            "api_requests.log",
            "model_operations.log",
            "system_metrics.log",
            "errors.log",
        ),
    ),
    Topic(
        id="errors",
        en=Phrases(
            ask="""
            where {are|can i find|do i find|do i see} {the|} {errors|error messages|error log|exceptions|error logs|\
                stack traces|tracebacks}
            where is the error {log|file}
            {what|which} {file|log} {has|holds|contains|shows} {the|} {errors|error messages|exceptions|failures}
            something {failed|went wrong|is broken|broke}, where do i look
            {i got|there was|i see} {an error|a failure|an exception}, where {is it logged|do i look|can i read more}
            where does {it|stoker|the service} {log|write|put} {errors|exceptions|failures}
            where are {errors|failures|exceptions} {logged|written|recorded|stored}
            a request failed, where can i see why
            where do {errors|error messages|exceptions|failures} {go|end up|appear|get logged}
            it {failed|crashed with an error|gave an error}, where can i {look|read the error|see the error}
            show me the {errors|error log|last errors}
            """,
            do="""
            {find|see|read|view|look at|check|inspect} {the|} {errors|error log|error messages|exceptions|tracebacks|\
                error logs}
            {find out|see|know} {what went wrong|why it failed|why a request failed|what failed}
            {debug|investigate} {an error|a failure|a failed request|errors}
            """,
            about="""
            {errors|error messages|the error log|exceptions|failures}
            """,
        ),
        zh=Phrases(
            ask="""
            {错误|报错|异常|错误信息|错误日志}在{哪里|哪儿|哪个文件|什么地方}
            {错误|报错|异常|错误信息}{记录|保存|写|存}在{哪里|哪个文件|哪儿}
            {在哪里|哪里|在哪儿}{看|查看|能看到|可以看到}{错误|报错|异常|错误信息|错误日志}
            {出错|报错|出问题|失败}了{去哪里看|看哪里|怎么查|看哪个文件}
            哪个{文件|日志}{有|记录}{错误|异常|报错}
            {错误|报错|异常}{写到|输出到|记录到}{哪里|哪个文件}
            请求失败了{看哪里|去哪里看|怎么查原因}
            """,
            do="""
            {查看|看|找|检查|读}{错误|报错|错误日志|错误信息|异常}
            知道{哪里|为什么}出错了
            {排查|调查}{错误|问题|报错}
            {找到|打开}{错误日志|错误记录|报错信息|错误文件}
            """,
            about="""
            {错误|报错|错误日志|异常}
            """,
        ),
        answer_en="Errors are written to `logs/errors.log`.",
        answer_zh="错误信息写在 `logs/errors.log` 里。",
        key_facts=("logs/errors.log",),
        stands_in_readme=("logs/errors.log",),
    ),
    Topic(
        id="log_retention",
        en=Phrases(
            ask="""
            how {long|many days} are {the|} {logs|log files} {kept|stored|retained|saved|held}
            how {long|many days} {do you|does it|does stoker} {keep|store|retain} {the|} {logs|log files}
            when are {the|} {old|} {logs|log files} {deleted|removed|cleaned up|thrown away|purged}
            {are|do} old logs {deleted|removed|cleaned up|go away}
            what is the log retention
            {what|which} {setting|variable} {controls|sets|changes} {log retention|how long logs are kept|\
                the retention of logs}
            do the logs {fill|eat} my disk
            for how {long|many days} are {the|} {logs|log files} {kept|stored|there|available}
            how old do {logs|log files} get
            do {logs|log files} get {deleted|removed|cleaned up}
            after how many days are logs {deleted|removed}
            """,
            do="""
            keep {the|} {logs|log files} {longer|for longer|for more days|for a year|for 90 days|for a week}
            {change|set|configure|shorten|extend} {the|} {log retention|retention of logs|retention period|\
                age of the logs}
            {delete|remove|clean up|purge} {old|the old} {logs|log files}
            """,
            about="""
            {log retention|how long logs are kept|keeping logs|old logs|LOG_RETENTION_DAYS|deleting logs}
            """,
        ),
        zh=Phrases(
            ask="""
            日志{保留|保存|留|存}{多久|多长时间|几天|多少天}
            日志{会|要}{保留|保存}{多久|多长时间|几天|多少天}
            {旧日志|日志}{什么时候|多久}{删除|清理|清除}
            {旧的|旧}日志会{自动|}{删除|清理}吗
            日志的保留{时间|天数|期限}是{多少|多久}
            日志会{占满|塞满}{磁盘|硬盘}吗
            日志{多久|几天|多少天}后{删除|清理|清除}
            日志最多{保留|保存}{多久|几天|多少天}
            日志会{一直|永远}{保留|保存}吗
            """,
            do="""
            {修改|设置|改|延长|缩短}日志{保留时间|保留天数|保存时间}
            {清理|删除|清除}{旧日志|旧的日志}
            让日志{保留|保存}{更久|一年|更长时间}
            """,
            about="""
            日志{保留时间|保留天数|保留|清理}
            LOG_RETENTION_DAYS
            """,
        ),
        answer_en="Logs are kept for 30 days by default; change this with `LOG_RETENTION_DAYS`.",
        answer_zh="日志默认保留 30 天，可以用 `LOG_RETENTION_DAYS` 修改。",
        key_facts=("LOG_RETENTION_DAYS", "30"),
        stands_in_readme=("LOG_RETENTION_DAYS", "30"),
    ),
    Topic(
        id="log_level",
        en=Phrases(
            ask="""
            {what|which} {setting|variable} {sets|controls|changes} the {log level|verbosity|level of the logs}
            what is the log level
            the logs are too {long|noisy|verbose|quiet|short}
            where is the log level set
            there {is|are} too {much|many} {log output|log messages|log lines}
            how do i get {debug|more detailed|less|more} {logs|log output}
            what log levels are there
            """,
            do="""
            {change|set|raise|lower|configure|adjust} {the|} {log level|verbosity|logging level|level of logging}
            {see|get|write|print|show} {debug|more|fewer|less|more detailed} {log messages|logs|log output|\
                messages in the logs|log lines}
            make {the logs|logging} {more|less} {verbose|detailed|noisy}
            {enable|turn on|switch on} debug {logs|logging|messages|output}
            {choose|pick|define} {the|a|another} log level
            log {more|less|more details|fewer messages|only errors}
            """,
            about="""
            {the log level|LOG_LEVEL|debug logging|verbosity|log levels}
            """,
        ),
        zh=Phrases(
            ask="""
            日志{级别|等级}{在哪里|怎么}{设置|修改|改}
            {哪个|什么}设置{控制|决定}日志{级别|等级}
            日志{级别|等级}是什么
            日志太{多|少|详细|吵}了
            日志{级别|等级}有{哪些|什么}
            {怎么|如何}{看|输出|打开}{调试|更详细的|详细的}日志
            """,
            do="""
            {修改|设置|调整|改|提高|降低}日志{级别|等级}
            {打开|开启|看到|输出}{调试日志|debug 日志|更多日志|详细日志|更详细的日志}
            让日志{更详细|更简单|少一点|多一点}
            {选择|指定|更改}日志{级别|等级|的级别}
            """,
            about="""
            日志{级别|等级}
            {调试日志|LOG_LEVEL}
            """,
        ),
        answer_en="Set the log level with `LOG_LEVEL` in `.env`, for example `DEBUG` or `INFO`.",
        answer_zh="日志级别用 `.env` 里的 `LOG_LEVEL` 设置，例如 `DEBUG` 或 `INFO`。",
        key_facts=("LOG_LEVEL",),
        stands_in_readme=("LOG_LEVEL",),
    ),
    Topic(
        id="ocr",
        en=Phrases(
            ask="""
            {can|could} {you|it|stoker|this|the server} {read|recognise|recognize|extract} {text|the text|words|\
                letters} {in|from|on} {an image|images|a picture|a photo|pictures|a scan}
            {can|could} {you|it|stoker} {do|run} ocr
            {what|which} {endpoint|route|url|path} {does|is for|is used for|handles} {ocr|text recognition|\
                reading images}
            where do i {send|upload|post} {an image|a picture|a photo|a scan|images} {for ocr|to be read|}
            how does {ocr|text recognition|the ocr} work
            is there {ocr|an ocr endpoint|text recognition}
            how to {do|use|run|call} {ocr|the ocr|text recognition}
            i have {a scan|a photo|a picture|an image|a screenshot|a scanned page}, how do i get the text
            what text is in {my|this|the} {image|picture|photo|scan}
            how do i {read|get|extract} {text|words} {from|in} {an image|a picture|a photo|a scan}
            {what|which} does the text {in|of} {this|my} {picture|image|photo} say
            read {this|my} {image|picture|photo|scan|page} {for me|}
            do you {do|have|offer|support} {ocr|text recognition}
            """,
            do="""
            {read|extract|get|recognise|recognize|pull|copy} {the|} {text|words|letters|writing} {from|in|on|\
                out of} {an image|a picture|a photo|images|pictures|a scan|a screenshot|a scanned page|photos|a png}
            {use|run|call|do|try|test} {ocr|the ocr|the ocr endpoint|text recognition}
            {turn|convert|change} {an image|a picture|a photo|a scan|a page} {into|to} text
            {upload|send|post} {an image|a picture|a photo|a scan} {for ocr|to the ocr|for text recognition|}
            {digitise|digitize|transcribe} a {page|document|scan|letter}
            {scan|process|transcribe|read} {a page|an image|documents|a photo|scans|a letter}
            get {words|text} out of {a picture|an image|a photo|a scan|a page}
            """,
            about="""
            {ocr|text recognition|the ocr endpoint|reading images|image text|/v1/ocr|optical character recognition}
            """,
        ),
        zh=Phrases(
            ask="""
            {怎么|如何|怎样}{识别|提取|读取|读}{图片|图像|照片|截图}{里的|中的|上的|里面的}{文字|字|文本|内容}
            {图片|图像|照片|截图}{里|中|上}的{文字|字|文本}{怎么|如何|怎样}{识别|提取|读取|读出来}
            {能|可以|能不能|会}{识别|读|提取}{图片|图像|照片}{里的|中的|上的}{文字|字}{吗|}
            {ocr|文字识别}{怎么用|如何使用|怎么做|用哪个接口|的接口是什么}
            {哪个|什么}接口{做|是|用于}{ocr|文字识别}
            {图片|照片|扫描件}{上传|发|发送}到哪里
            支持{ocr|文字识别}吗
            {怎么|如何|怎样}{用|使用|做|进行}{ocr|文字识别|图片识别}
            {怎么|如何|怎样}{把|将}{图片|照片|图像}{变成|转成|转换成}{文字|文本}
            图片{文字|里的字}{怎么|如何}{读|识别|提取}
            有{ocr|文字识别|图片识别}{功能|接口|}吗
            """,
            do="""
            {识别|提取|读取|获取|读出}{图片|图像|照片|截图|扫描件|一张图片}{里的|中的|上的|里面的}{文字|字|文本}
            {使用|用|调用|做|试试}{ocr|文字识别|ocr 接口}
            把{图片|照片|图像|扫描件}{转成|变成|转换成}{文字|文本}
            {上传|发送}{图片|照片}{做识别|识别文字|}
            从{图片|照片|截图}{里|中}{提取|读取|得到}{文字|文本}
            {识别|读}{图片|照片|图里|图中}的{文字|字}
            {做|进行}{文字识别|图片识别|ocr}
            """,
            about="""
            {ocr|文字识别|图片识别|图像识别|图片文字}
            """,
        ),
        answer_en="Send the image to `POST /v1/ocr`, for example `curl -F file=@page.png http://127.0.0.1:8000/v1/ocr`.",
        answer_zh="把图片发到 `POST /v1/ocr`，例如 `curl -F file=@page.png http://127.0.0.1:8000/v1/ocr`。",
        key_facts=("POST /v1/ocr", "curl -F file=@page.png http://127.0.0.1:8000/v1/ocr"),
        stands_in_readme=("POST /v1/ocr", "curl -F file=@page.png http://127.0.0.1:8000/v1/ocr"),
    ),
    Topic(
        id="image_formats",
        en=Phrases(
            ask="""
            {what|which} {image|picture|file|photo} {formats|types|file types|kinds} {are supported|can i use|\
                does it accept|does ocr accept|can it read|work|do you support|are allowed}
            {does|can} {it|ocr|stoker|the ocr} {support|accept|read|take|handle} {png|jpeg|jpg|webp|tiff|bmp|\
                gif} {files|images|}
            is {png|jpeg|jpg|webp|tiff|bmp|gif|heic} {supported|accepted|allowed|ok}
            can i {send|upload|use} {a png|a jpeg|a jpg|a webp|a tiff|a bmp|a gif} {file|image|}
            {what|which} formats {does ocr|can ocr|does the ocr} {read|take|accept|support}
            in {what|which} format must {the image|my picture|images} be
            {what|which} {kinds|types|sorts} of {images|pictures|files|photos} {are supported|can i send|\
                does it read|are accepted|are allowed}
            {what|which} file {formats|types} for {ocr|images|pictures}
            {will|does} {a|an} {png|jpeg|jpg|webp|tiff|bmp|gif} {file|image|} work
            """,
            about="""
            {image formats|supported formats|picture formats|file formats|image types|supported image formats|formats}
            """,
        ),
        zh=Phrases(
            ask="""
            {支持|接受|能读|可以用}{哪些|什么}{图片|图像|文件|}{格式|类型}
            {图片|图像|照片}{要|必须|应该}{是|用}什么格式
            支持 {png|jpeg|jpg|webp|tiff|bmp|gif} {图片|格式|}吗
            {可以|能}{上传|用|发} {png|jpeg|jpg|webp|tiff|bmp} {图片|文件|}吗
            {ocr|文字识别}支持{哪些|什么}格式
            {图片|图像}格式有{哪些|什么}要求
            {能|可以}{识别|读取|处理}{哪些|什么}{格式|类型}的{图片|图像|文件}
            {哪些|什么}{图片格式|图像格式|格式}{可以用|能用|被支持|支持}
            {png|jpeg|jpg|webp|tiff|bmp|gif} {格式|图片|}{可以|行|支持}吗
            """,
            about="""
            {图片格式|图像格式|支持的格式|图片类型|文件格式}
            """,
        ),
        answer_en="OCR reads PNG, JPEG, WebP, TIFF and BMP images, GIF, PDF, or a ZIP of images.",
        answer_zh="支持的格式：PNG、JPEG、WebP、TIFF 和 BMP 图片、GIF、PDF，或图片的 ZIP。",
        key_facts=("PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF", "PDF", "ZIP"),
        stands_in_readme=("PNG, JPEG, WebP, TIFF and BMP images, GIF, PDF, or a ZIP of images",),
    ),
    Topic(
        id="ocr_workers",
        en=Phrases(
            ask="""
            {what|which} {setting|variable} {sets|controls} the {number|count} of ocr {workers|processes}
            how many ocr {workers|processes} {are there|run|does it start}
            how many {workers|processes} {does ocr use|read images}
            ocr is {slow|too slow}, can i {use|start|have} more {workers|processes}
            where is the {number|count} of ocr {workers|processes} set
            how do i {change|set|raise} the number of {ocr workers|workers for ocr|ocr processes}
            {can|could} ocr {be faster|be quicker|run faster|use more processes|use more workers}
            """,
            do="""
            {set|change|raise|increase|lower|configure} the {number|count} of ocr {workers|processes}
            {use|add|start|run|have|get} more ocr {workers|processes}
            {speed up|scale|parallelise} {ocr|the ocr|text recognition}
            make ocr {faster|quicker}
            give ocr more {workers|processes|cores}
            change how many {workers|processes} {ocr uses|read images|do ocr}
            """,
            about="""
            {ocr workers|OCR_WORKERS|ocr processes|the ocr worker count|the number of ocr workers}
            """,
        ),
        zh=Phrases(
            ask="""
            ocr {有|用|启动}{多少|几}个{工作进程|进程|worker}
            {哪个|什么}设置{控制|决定} ocr {工作进程|进程}{数|数量|的数量}
            ocr {太慢|很慢}{怎么办|，能加进程吗|，怎么加快}
            ocr {工作进程|进程}{数|数量}在哪里{设置|改}
            {怎么|如何}{设置|增加|修改} ocr {工作进程|进程|进程数}
            ocr {能|可以}{更快|快一点|快一些}吗
            """,
            do="""
            {设置|修改|增加|减少|调整} ocr {工作进程|进程}{数|数量|的数量}
            {增加|添加|启动}更多 ocr {工作进程|进程}
            {加快|提高} ocr {速度|的速度|}
            让 ocr {更快|快一点}
            给 ocr {更多|多一些}{进程|工作进程}
            """,
            about="""
            ocr {工作进程|进程|进程数|worker}
            OCR_WORKERS
            """,
        ),
        answer_en="Set the number of OCR worker processes with `OCR_WORKERS` in `.env`.",
        answer_zh="OCR 工作进程的数量用 `.env` 里的 `OCR_WORKERS` 设置。",
        key_facts=("OCR_WORKERS",),
        stands_in_readme=("OCR_WORKERS",),
    ),
    Topic(
        id="ocr_busy",
        en=Phrases(
            ask="""
            why {do i|did i|does ocr} {get|return|answer|give} {429|a 429|status 429|too many requests}
            what does {429|status 429|error 429|a 429|too many requests} mean
            {i get|ocr returns|i see|i got|it says|the server answers} {429|a 429|error 429|too many requests}
            how many {ocr requests|images|ocr calls} {at once|at the same time|in parallel|concurrently} {can i send|\
                are allowed|can it take|}
            what {happens|if i send|happens with} {too many|many} {ocr requests|images|ocr calls} {at once|\
                at the same time|in parallel}
            {what|which} {setting|variable} limits {concurrent|parallel|simultaneous} ocr {requests|calls}
            why is my ocr request {refused|rejected|turned away}
            is there a limit {on|to|for} ocr {requests|calls}
            what is Retry-After
            how many {ocr requests|images} can {run|be read|be handled} {at once|at the same time|in parallel}
            {the server is|ocr is|it is} {busy|overloaded}
            when do i get {429|a 429|too many requests}
            """,
            do="""
            {raise|increase|lift|change|set} the {limit|number} of {concurrent|parallel|simultaneous} ocr {requests|\
                calls}
            {send|run|handle|allow} more {ocr requests|images|ocr calls} {at once|at the same time|in parallel|\
                concurrently}
            {fix|avoid|stop|get rid of|handle} {429|the 429|429 errors|too many requests|error 429}
            {read|recognise|ocr} {many|several|more} images {at once|at the same time|in parallel}
            """,
            about="""
            {429|error 429|too many requests|OCR_MAX_CONCURRENT|the ocr limit|concurrent ocr requests|Retry-After|\
                the limit of ocr requests}
            """,
        ),
        zh=Phrases(
            ask="""
            为什么{返回|得到|出现|会有|收到} 429 {错误|}
            429 {是什么意思|是什么|怎么办|错误怎么办|代表什么}
            {ocr|识别}请求太多{会怎样|怎么办|会发生什么}
            {同时|并发}{能|可以}{发送|处理}多少{ocr 请求|个 ocr 请求|张图片}
            {哪个|什么}设置限制 ocr {并发|并发数|并发请求}
            ocr 请求{被拒绝|被拒}了{怎么办|}
            Retry-After 是什么
            {什么时候|何时}会{出现|返回|得到} 429
            ocr 最多{同时|并发}{处理|接受}{多少|几}个请求
            {ocr|服务器}{太忙|很忙|繁忙}{怎么办|}
            """,
            do="""
            {提高|增加|修改|设置} ocr {并发|并发数|并发上限|并发限制}
            {避免|解决|处理} 429 {错误|}
            {同时|并发}处理更多{图片|ocr 请求}
            {同时|并发}{识别|处理|发送}{很多|多张|更多}图片
            """,
            about="""
            429 {错误|}
            ocr {并发|并发限制|并发数|请求限制}
            OCR_MAX_CONCURRENT
            """,
        ),
        answer_en="Too many concurrent OCR requests get 429 with `Retry-After`. Wait and try again, or raise "
        "`OCR_MAX_CONCURRENT`.",
        answer_zh="同时的 OCR 请求太多时会返回 429 和 `Retry-After`。请稍后重试，或调大 `OCR_MAX_CONCURRENT`。",
        key_facts=("429", "Retry-After", "OCR_MAX_CONCURRENT"),
        stands_in_readme=("429", "Retry-After", "OCR_MAX_CONCURRENT"),
    ),
    Topic(
        id="chat_endpoint",
        en=Phrases(
            ask="""
            {what|which} {endpoint|route|url|path} {is for|does|handles|is used for} {chat|chatting|chat completions|\
                conversations}
            {what|which} is the chat {endpoint|url|route|path}
            where do i {send|post} {chat requests|messages|my messages|a prompt|chat messages|prompts}
            where is the chat {endpoint|api}
            how does the chat {api|endpoint} work
            is there a chat {api|endpoint|completions endpoint}
            {what|which} url do i {post|send} {a chat|messages|chat messages|chat requests} to
            how do i {chat|talk} {with|to} the model {over http|by http|with curl|from code}
            where can i {send|post} {a chat request|my chat|a chat message|a chat}
            """,
            do="""
            {send|post|make} a {chat request|message|prompt|chat message|chat completion request}
            {call|use|query} the chat {api|endpoint|completions api}
            {chat|talk} with {the model|a model} {over http|with curl|from a program|through the api}
            {ask|query} the model {with curl|over http|through the api|from a script}
            get a {completion|chat completion|chat answer}
            {chat|talk} {over|through|using} the api
            """,
            about="""
            {the chat endpoint|the chat api|chat completions|/v1/chat/completions|chatting over http|the chat route}
            """,
        ),
        zh=Phrases(
            ask="""
            聊天{接口|端点|的接口|api}{是什么|是哪个|在哪里|地址是什么}
            {哪个|什么}{接口|端点}{用于|是|负责}{聊天|对话}
            {聊天|对话}请求{发到|发送到|发给}{哪里|哪个接口}
            {消息|提示词}{发到|发送到}哪里
            有{聊天|对话}{接口|api}吗
            {聊天|对话}{用|要用}哪个{接口|端点|地址}
            {怎么|如何}{通过接口|用接口|用 http}{聊天|对话}
            {怎么|如何}{发送|发}{聊天|对话}{请求|消息}
            """,
            do="""
            {调用|使用|用}{聊天|对话}{接口|api|端点}
            {发送|发}{聊天请求|聊天消息|一条消息|对话请求}
            {用 curl |通过接口|用程序}{和|跟}模型{聊天|对话}
            {用接口|通过 http |在代码里}{聊天|对话}
            """,
            about="""
            {聊天|对话}{接口|api|端点}
            """,
        ),
        answer_en='Send chat requests to `POST /v1/chat/completions`. Add `"stream": true` to stream the answer.',
        answer_zh='把聊天请求发到 `POST /v1/chat/completions`。加上 `"stream": true` 就会流式输出。',
        key_facts=("POST /v1/chat/completions",),
        stands_in_readme=("POST /v1/chat/completions",),
    ),
    Topic(
        id="streaming",
        en=Phrases(
            ask="""
            {can|could|does} {it|you|stoker|the server|the chat} stream {answers|tokens|the answer|responses|}
            {is|does} streaming {supported|work|available|possible}
            {what|which} {field|option|parameter|flag} {turns on|enables|starts} streaming
            how does streaming work
            does {it|stoker|the server} support {streaming|server-sent events|sse}
            how do i {stream|get streaming|turn streaming on|enable streaming}
            can i {get|see|have} the answer {token by token|word by word|while it is generated|as a stream|live}
            """,
            do="""
            {stream|receive|get|read} {the|an} {answer|response|tokens|text|output} {word by word|token by token|\
                as it comes|piece by piece|live}
            {stream|enable streaming of} {answers|tokens|responses|the answer|the output|text}
            {enable|turn on|use|get|switch on} streaming
            see the answer while it is {written|generated|made}
            {have|make} the {answer|response|output} {stream|streamed|come in pieces|appear word by word}
            """,
            about="""
            {streaming|streamed answers|streaming responses|token streaming|server-sent events|the stream option}
            """,
        ),
        zh=Phrases(
            ask="""
            {支持|能|可以|有}{流式输出|流式|流式传输|流式响应}吗
            {流式输出|流式|流式响应}{怎么用|怎么开|如何开启|怎么打开|怎么做}
            {哪个|什么}参数{开启|打开}流式
            答案能{一个字一个字地|逐字}{输出|显示|返回}吗
            {怎么|如何}{流式|逐字}{输出|返回|显示}
            {答案|回答}{可以|能}{逐字|流式|一点一点}{输出|显示|返回}吗
            """,
            do="""
            {开启|打开|使用|用|启用}{流式输出|流式|流式传输|流式响应}
            {逐字|流式}{输出|返回|接收|显示}{答案|回答|结果|}
            一边生成一边{显示|看到}{答案|回答}
            让{答案|回答|输出}{逐字|流式|一点点}{显示|返回|出来}
            """,
            about="""
            {流式输出|流式|流式响应|流式传输}
            """,
        ),
        answer_en='Add `"stream": true` to the body of `POST /v1/chat/completions`; the answer then '
        "comes piece by piece.",
        answer_zh='在 `POST /v1/chat/completions` 的请求里加上 `"stream": true`，答案就会逐段返回。',
        key_facts=('"stream": true',),
        stands_in_readme=('"stream": true',),
    ),
    Topic(
        id="openai_client",
        en=Phrases(
            ask="""
            {can|could} i use {the openai package|the openai client|the openai library|openai's python package|\
                the openai sdk}
            does {it|stoker|this} work with {the openai package|the openai client|the openai sdk|openai clients}
            is {it|stoker|this|the api} {compatible with openai|openai compatible|compatible with the openai api}
            {what|which} base_url {do i use|must i set|should i use|is it}
            {what|which} base url {do i use|must i set|should i use} {with openai|for the openai client|}
            {what|which} {python|} {client|library|package|sdk} {can i use|works|should i use}
            how do i use {it|stoker|the service} {with|from} {the openai package|the openai client|python|openai}
            {can|could} {openai clients|the openai sdk|my openai code} {connect|talk} to {it|stoker|this}
            what do i put {as|in|for} {base_url|the base url}
            """,
            do="""
            {use|connect|configure|set up} the openai {package|client|library|sdk|python package}
            {call|use|query} {it|stoker|the service|the server} {from python|with python|in python|from a python script}
            set the {base_url|base url}
            point {the openai client|my openai app|an openai client|my client} {to|at} {it|stoker|this server}
            use {existing|my existing} openai {code|programs}
            {write|make} a python {client|program|script} for {it|stoker|the service}
            """,
            about="""
            {the openai package|the openai client|the openai sdk|the python client|openai compatibility|base_url|\
                the base url}
            """,
        ),
        zh=Phrases(
            ask="""
            {能|可以|能不能}用 openai {的包|包|客户端|库|sdk}吗
            {兼容|支持} openai {吗|接口吗|客户端吗|的接口吗}
            base_url {是什么|填什么|怎么设置|写什么}
            python {怎么|如何}{调用|使用|连接}{服务|stoker|它}
            用{哪个|什么}{客户端|库|包}
            {怎么|如何}用 {python|openai 包|openai 客户端|openai 库} {连接|调用|访问|}
            能{兼容|配合|使用} openai {的代码|客户端|库}吗
            """,
            do="""
            {使用|用|配置|连接} openai {包|客户端|库|sdk}
            {用|在|通过} python {里|}{调用|使用|连接}{服务|stoker|它}
            设置 base_url
            用 {openai|python} {写|编写}{客户端|程序}
            """,
            about="""
            openai {包|客户端|库|兼容|sdk}
            {base_url|python 客户端}
            """,
        ),
        answer_en="Use the `openai` package with base_url `http://127.0.0.1:8000/v1`; the API is OpenAI-compatible.",
        answer_zh="使用 `openai` 包，把 base_url 设为 `http://127.0.0.1:8000/v1`，接口与 OpenAI 兼容。",
        key_facts=("openai", "http://127.0.0.1:8000/v1"),
        stands_in_readme=("openai", "http://127.0.0.1:8000/v1"),
    ),
    Topic(
        id="list_models",
        en=Phrases(
            ask="""
            {what|which} models {are there|are available|are loaded|do you have|does it serve|can i choose|\
                are served|are installed}
            {what|which} {endpoint|route|url} {lists|shows|returns} {the|} {models|available models}
            where is the list of models
            is there a list of {models|available models}
            how many models {are there|are available|are loaded}
            {what|which} models can i {use|choose|pick|call}
            {show|tell|give} me {the|all|available} models
            how do i {see|list|get} {the|all|available} models
            """,
            do="""
            {list|see|show|get|view|enumerate} {the|all|available|loaded} {models|model ids|model names}
            {find out|see|know|check} which {models|model} {are available|is loaded|are loaded|are there}
            get {a|the} list of {models|available models|model names}
            see what models {there are|are available|are served|i can use}
            """,
            about="""
            {the model list|the list of models|listing models|/v1/models|available models|the models endpoint}
            """,
        ),
        zh=Phrases(
            ask="""
            有{哪些|什么}模型{可用|可以用|}
            {哪个|什么}接口{列出|返回|显示}模型
            {可用|可用的|加载了哪些|已加载的}模型{有哪些|列表在哪里|}
            模型列表在{哪里|哪儿|哪个接口}
            {我|}{可以|能}用{哪些|什么}模型
            {怎么|如何}{列出|查看|看}{模型|所有模型|可用模型}
            """,
            do="""
            {列出|查看|看|显示|获取}{所有|可用的|全部|已加载的|}模型
            {获取|得到|查看}模型{列表|名称|清单}
            知道有哪些模型
            看{有什么模型|有哪些模型|有多少模型}
            """,
            about="""
            模型{列表|清单|名单}
            {可用模型|可用的模型}
            """,
        ),
        answer_en="List the models with `python run.py models` or `GET /v1/models`.",
        answer_zh="模型列表：`python run.py models` 或 `GET /v1/models`。",
        key_facts=("python run.py models", "GET /v1/models"),
        stands_in_readme=("python run.py models", "GET /v1/models"),
    ),
    Topic(
        id="health",
        en=Phrases(
            ask="""
            is {the service|the server|stoker|it} {healthy|alive|ready|up|ok}
            {what|which} {endpoint|route|url} {is for|does|shows|reports} {health|liveness|readiness|health checks}
            is there a {health check|health endpoint|liveness probe|readiness probe}
            how do i know {it is|it's|the server is|stoker is} {alive|ready|healthy|up}
            what {is|are} {/livez|/readyz|/health} {for|good for}
            {what|which} probes {are there|can kubernetes use|exist}
            how do i {check|test|see} {that|whether|if} {it|the server|the service|stoker} {is alive|is up|works|\
                is healthy|is ready}
            are you {healthy|alive|ready|up}
            {what|which} url {tells|says|shows} {if|whether} {it|the server} is {ready|alive|healthy}
            """,
            do="""
            {check|test|see|know|monitor|probe} {the health of the service|the health|whether it is alive|\
                whether it is ready|if the server is alive|if it is healthy|the service's health|if the service is up}
            {set up|configure|add|write} a {health check|liveness probe|readiness probe|kubernetes probe|\
                load balancer check}
            {test|ping|probe} {the service|the server|stoker} for {health|being alive}
            """,
            about="""
            {health checks|the health endpoint|liveness|readiness|liveness probes|readiness probes|/health|/livez|\
                /readyz|kubernetes probes}
            """,
        ),
        zh=Phrases(
            ask="""
            {服务|服务器|stoker}{健康|正常|活着|就绪|还好|准备好了}吗
            {健康检查|存活检查|就绪检查}{接口|端点|地址|}{是什么|在哪里|是哪个}
            有{健康检查|存活探针|就绪探针|健康接口}吗
            {怎么|如何}知道{服务|服务器}{是否|是不是}{正常|健康|就绪|活着}
            {怎么|如何}{检查|查看|做}{健康|健康状态|健康检查|是否存活}
            {健康|存活|就绪}{检查|探针}用哪个{接口|地址|端点}
            """,
            do="""
            {检查|查看|监测|知道}{服务|服务器|}{健康|健康状况|健康状态|是否存活|是否就绪|是否正常}
            {配置|设置|做}{健康检查|存活探针|就绪探针|探针}
            {确认|判断|看}{服务|服务器}{正常|就绪|活着|健康}
            """,
            about="""
            {健康检查|健康状态|存活检查|就绪检查|探针|存活探针|就绪探针}
            """,
        ),
        answer_en="Check the health with `/health`, `/livez` (alive) and `/readyz` (ready).",
        answer_zh="健康检查：`/health`、`/livez`（存活）和 `/readyz`（就绪）。",
        key_facts=("/health", "/livez", "/readyz"),
        stands_in_readme=("/health", "/livez", "/readyz"),
    ),
    Topic(
        id="metrics",
        en=Phrases(
            ask="""
            where are the {metrics|prometheus metrics|counters}
            {what|which} {endpoint|route|url} {has|gives|exports|serves|shows} {metrics|prometheus metrics|\
                the metrics|counters}
            {are there|is there|do you have|do you export} {metrics|prometheus metrics|a metrics endpoint|\
                prometheus support}
            does {it|stoker|the server} {support|work with|export to|have} prometheus {metrics|}
            how do i {get|see|scrape|collect} {the|} {metrics|prometheus metrics}
            {can|could} prometheus {scrape|monitor|read} {it|stoker|this}
            {what|which} metrics {are there|does it export|are exported}
            """,
            do="""
            {scrape|collect|get|read|see|export|fetch} {the|} {metrics|prometheus metrics|counters}
            {use|connect|set up|configure} {prometheus|grafana|a prometheus server|monitoring with prometheus}
            {monitor|measure|graph} {the service|the server|stoker|latency|throughput} {with prometheus|with grafana|\
                in prometheus}
            {graph|plot|watch|track} {metrics|performance|the metrics}
            """,
            about="""
            {metrics|the metrics|prometheus|the metrics endpoint|grafana|/metrics|prometheus metrics}
            """,
        ),
        zh=Phrases(
            ask="""
            {指标|监控指标|prometheus 指标|性能指标}在{哪里|哪儿|哪个接口}
            {哪个|什么}接口{提供|有|返回}{指标|监控指标}
            支持 {prometheus|grafana} {指标|监控|}吗
            有{监控指标|指标接口|指标}吗
            {怎么|如何}{查看|获取|采集|看}{指标|监控指标|性能指标}
            prometheus {怎么|如何}{接入|连接|抓取|监控}
            """,
            do="""
            {查看|看|获取|采集|抓取|读取|导出}{指标|监控指标|prometheus 指标|性能指标}
            {使用|用|连接|配置} prometheus {监控|}
            用 {prometheus|grafana} 监控{服务|服务器|}
            {接入|对接} {prometheus|grafana|监控系统}
            """,
            about="""
            {指标|监控指标|prometheus|监控|grafana|性能指标}
            """,
        ),
        answer_en="The metrics are at `GET /metrics`, in Prometheus format.",
        answer_zh="指标在 `GET /metrics`，是 Prometheus 格式。",
        key_facts=("GET /metrics", "Prometheus"),
        stands_in_readme=("GET /metrics", "Prometheus"),
    ),
    Topic(
        id="gpu_status",
        en=Phrases(
            ask="""
            {does|is} {it|stoker|the server|the service} {use|using|run on|running on} {the|a|my} {gpu|graphics card|\
                metal device}
            {what|which} {gpu|graphics card|device|accelerator} {is used|does it use|is in use|do you run on}
            how {much|busy} {gpu memory is used|is the gpu|gpu memory is free|is my gpu}
            {what|which} {endpoint|route|url} {shows|reports|gives} {the gpu|gpu status|gpu memory|the state of the gpu}
            what is the gpu {doing|status|state}
            how do i {see|check|know} {the gpu|the gpu status|if the gpu is used|gpu memory}
            is {the|my|a} gpu {used|in use|busy|active|working|found}
            how is the {gpu|graphics card} doing
            """,
            do="""
            {see|check|get|show|view|read|query} {the|} {gpu status|gpu|gpu memory|gpu usage|gpu load|\
                state of the gpu|graphics card}
            {find out|see|know|check} {whether the gpu is used|if the gpu is used|if metal is used|which gpu is used}
            {monitor|watch|inspect} {the gpu|gpu memory|gpu load|my gpu|the graphics card}
            """,
            about="""
            {the gpu|gpu status|gpu memory|gpu usage|the graphics card|/api/gpu-status|metal|the accelerator}
            """,
        ),
        zh=Phrases(
            ask="""
            {gpu|显卡}{状态|的状态|情况}{是什么|在哪里看|怎么看|怎么样}
            {用|使用|有用}{gpu|显卡}了吗
            {用|使用}的是{哪个|什么} {gpu|显卡}
            {gpu|显卡}{内存|显存}用了多少
            {哪个|什么}接口{显示|返回|查看} {gpu|显卡}{状态|}
            显存{还有|用了|占了}多少
            {怎么|如何|在哪里}{查看|看|查} {gpu|显卡|显存}{状态|使用情况|}
            {gpu|显卡}{有没有在用|在工作吗|忙吗|用上了吗}
            """,
            do="""
            {查看|看|检查|获取|查询} {gpu|显卡}{状态|使用情况|内存|占用|}
            {查看|看}显存
            知道{有没有用|是否使用} {gpu|显卡}
            {监控|了解|显示} {gpu|显卡|显存}{状态|使用|}
            """,
            about="""
            {gpu|显卡}{状态|使用情况|内存|}
            显存
            """,
        ),
        answer_en="The GPU status is at `GET /api/gpu-status`.",
        answer_zh="GPU 状态：`GET /api/gpu-status`。",
        key_facts=("GET /api/gpu-status",),
        stands_in_readme=("GET /api/gpu-status",),
    ),
    Topic(
        id="system_status",
        en=Phrases(
            ask="""
            {what|which} is the {status|state} of {the system|the service|the server|stoker}
            {what|which} {endpoint|command|route} {shows|gives|reports|prints} {the|} {system status|status|\
                status of the system|state of the service}
            what is {running|going on|the service doing|the status|the system doing} {right now|now|at the moment|}
            where is the {status|system status|status page}
            how do i {see|check|get|show} the {status|system status|status of the service}
            how is {the system|the service|the server|stoker} doing
            {show|give|tell} me {the|} {status|system status}
            """,
            do="""
            {see|check|get|show|view|read|query|print} {the|} {system status|status|status of the service|\
                status of the system|state of the system|server status|service status|state of the server}
            see {what is running|how the system is doing|how it is doing|what the service is doing}
            {monitor|watch|inspect|know} the {status|system|state} {of the service|}
            """,
            about="""
            {the system status|system status|the status|the status command|service status|the state of the system|\
                server status}
            """,
        ),
        zh=Phrases(
            ask="""
            {系统|服务|服务器|运行}状态{是什么|怎么样|在哪里看|如何|怎么看}
            {哪个|什么}{接口|命令}{显示|查看|返回}{系统|服务|运行}状态
            {系统|服务}{现在|目前}{怎么样|在做什么|什么情况}
            {怎么|如何|在哪里}{查看|看|查}{系统|服务|运行}状态
            {系统|服务}{状态|情况}{如何|怎么样|好吗}
            """,
            do="""
            {查看|看|检查|获取|显示|查询}{系统|服务|服务器|运行|当前}{状态|的状态|情况}
            {了解|知道}{系统|服务}{状态|情况|的状态}
            """,
            about="""
            {系统状态|服务状态|运行状态|服务器状态|系统情况}
            """,
        ),
        answer_en="See the system status with `GET /v1/system/status` or `python run.py status`.",
        answer_zh="系统状态：`GET /v1/system/status` 或 `python run.py status`。",
        key_facts=("GET /v1/system/status", "python run.py status"),
        stands_in_readme=("GET /v1/system/status", "python run.py status"),
    ),
    Topic(
        id="check",
        en=Phrases(
            ask="""
            is my {machine|computer|mac|laptop|pc|hardware|system} {ok|good enough|suitable|ready|fast enough|\
                supported|able to run it}
            {can|will} my {machine|computer|mac|laptop|pc} run {this|stoker|it}
            {what|which} command {checks|tests|examines|inspects} {the|my} {machine|computer|installation|\
                environment|hardware|setup}
            {does|will} {it|stoker} {run|work} on my {machine|computer|mac|laptop|pc}
            are all {dependencies|requirements|packages} {installed|there|met}
            {what|which} blas is {used|in use}
            how do i {check|test} {my|the} {machine|computer|installation|hardware|setup}
            is {everything|all} {installed|ready|set up} {on my machine|}
            is my {machine|computer|mac|laptop} {compatible|powerful enough|big enough}
            """,
            do="""
            {check|test|examine|inspect|verify|diagnose} {the|my} {machine|computer|installation|environment|setup|\
                hardware|mac|laptop|dependencies}
            {see|know|find out} {if|whether} my {machine|computer|mac|laptop|hardware} {is good enough|can run it|\
                is ready|is suitable|is supported}
            {make sure|be sure|confirm} {my|the} {machine|computer|setup|installation} is {ok|ready|fine|good enough}
            """,
            about="""
            {checking the machine|the check command|checking my computer|requirements|the machine check|\
                hardware requirements|checking the installation}
            """,
        ),
        zh=Phrases(
            ask="""
            我的{机器|电脑|计算机|mac|硬件}{能|可以|能不能}{运行|用|跑}{吗|它吗|stoker 吗|}
            我的{机器|电脑|硬件}{够用|合适|支持}吗
            {哪个|什么}命令{检查|检测}{机器|环境|电脑|硬件|安装}
            {依赖|依赖包}都{装好|安装}了吗
            {怎么|如何}{检查|检测|测试}{机器|电脑|环境|硬件|安装}
            我的{电脑|机器|硬件|环境}{行|可以|没问题|合适|支持}吗
            """,
            do="""
            {检查|检测|测试|诊断}{机器|我的机器|电脑|环境|硬件|安装|依赖|运行环境|我的电脑}
            知道我的{机器|电脑}{能不能|是否能}运行
            {确认|看看}{机器|电脑|环境|安装}{是否可用|有没有问题|行不行}
            """,
            about="""
            {检查机器|检查环境|环境检查|机器检查|硬件要求|检查命令}
            """,
        ),
        answer_en="Check the machine with `python run.py check`.",
        answer_zh="检查机器：`python run.py check`。",
        key_facts=("python run.py check",),
        stands_in_readme=("python run.py check",),
    ),
    Topic(
        id="show_config",
        en=Phrases(
            ask="""
            {what|which} {settings|values|options} are {in use|active|in effect|used now|set now|current}
            {what|which} command {shows|prints|lists|displays} {the|my|} {settings|configuration|config|\
                current settings}
            what {is|are} my {current|} {settings|configuration|config}
            what are the current {settings|values|options}
            how do i {show|see|print} {my|the|} {current|active|} {settings|configuration|config}
            {show|print|give} me {the|my} {current|active} {settings|configuration|config}
            {what|which} settings does it use {now|right now|currently}
            """,
            do="""
            {show|print|see|view|display|dump} {the|my|all|current|active} {settings|configuration|config|\
                settings in use}
            see {which settings are in use|what is configured|what is set|which values are used}
            {check|inspect|list} {the|my} {current|active} {settings|configuration|values}
            """,
            about="""
            {showing the settings|the config command|current settings|the current configuration|\
                printing the configuration|active settings|my current settings}
            """,
        ),
        zh=Phrases(
            ask="""
            {当前|现在|目前}{的|}{设置|配置}是{什么|怎样的|多少}
            {哪个|什么}命令{显示|打印|查看}{设置|配置}
            {现在|当前}用的是{什么|哪些}{设置|配置}
            {怎么|如何}{显示|查看|打印}{当前|现在的|目前的}{设置|配置}
            {当前|现在}{有|生效的是}{哪些|什么}{设置|配置}
            """,
            do="""
            {显示|打印|查看|看|列出}{当前|现在|目前}{的|}{设置|配置}
            {显示|打印}{设置|配置|所有设置|全部配置}
            看看{现在|当前}{用了什么设置|的设置|的配置|用的配置}
            """,
            about="""
            {当前设置|当前配置|显示设置|显示配置|现在的设置|打印配置}
            """,
        ),
        answer_en="Show the current settings with `python run.py config`.",
        answer_zh="显示当前设置：`python run.py config`。",
        key_facts=("python run.py config",),
        stands_in_readme=("python run.py config",),
    ),
    Topic(
        id="stop",
        en=Phrases(
            ask="""
            {what|which} command {stops|ends|shuts down|terminates|kills} {the service|the server|stoker|it}
            how is {the service|the server|stoker} {stopped|shut down|ended}
            how to {stop|shut down|end|quit|kill} {the service|the server|stoker|it}
            how do i {stop|end|quit|shut down|kill} {the service|the server|stoker|it}
            what do i type to {stop|end|quit} {it|the server|stoker|the service}
            {what|which} is the {stop|shutdown} command
            """,
            do="""
            {stop|end|kill|quit|terminate|halt|exit|close} {the service|the server|stoker|it|this|the process}
            shut {down|off} {the service|the server|stoker|it}
            shut {the service|the server|stoker|it} down
            {turn|switch} {the service|the server|stoker|it} off
            bring {the service|the server|it} down
            {make|have} {the service|the server|stoker|it} {stop|end|quit}
            """,
            about="""
            {stopping|shutting down|ending|terminating} {the service|the server|stoker|it}
            {the stop command|shutdown}
            """,
        ),
        zh=Phrases(
            ask="""
            {停止|关闭|结束|终止}{服务|服务器|stoker}的命令是什么
            {哪个|什么}命令{停止|关闭|结束}{服务|服务器|stoker}
            {服务|服务器|stoker}{怎么|如何|怎样}{停止|关闭|停下来|关掉|停}
            {怎么|如何|怎样}{停止|关闭|关掉|停掉|结束}{服务|服务器|stoker}
            {停止|关闭}命令{是什么|是哪个|}
            """,
            do="""
            {停止|关闭|关掉|停掉|结束|终止|退出}{服务|服务器|stoker|这个服务|它}
            把{服务|服务器|stoker|它}{停下来|关掉|停掉|关了}
            {停|关|停用|停下}{服务|服务器|stoker}
            """,
            about="""
            {停止|关闭|结束}{服务|服务器}
            {停止命令|关机}
            """,
        ),
        answer_en="Stop the service with `python run.py stop`.",
        answer_zh="停止服务：`python run.py stop`。",
        key_facts=("python run.py stop",),
        stands_in_readme=("python run.py stop",),
    ),
    Topic(
        id="settings",
        en=Phrases(
            ask="""
            where {are|do i find|can i find|do i change|can i change|do i edit} {the|my|all|your} {settings|options|\
                configuration|environment variables}
            where is {the|my} {configuration|config|config file|settings file|configuration file}
            {what|which} {settings|options|variables} {are there|exist|can i change|does it have|do you have}
            {what|which} file {has|holds|contains|keeps} {the|} {settings|configuration|options}
            is there a {list|table} of {settings|all settings|options|variables}
            where are {all|} {settings|options|variables} {listed|documented|described|explained|kept}
            how do i {change|edit|set} {a setting|settings|the settings|options}
            {what|which} can i {configure|set|customise}
            where do {settings|options|environment variables} {live|go|come from}
            where can i {set|edit|configure} {something|things|options|settings}
            """,
            do="""
            {change|edit|adjust|modify|set} {a setting|settings|the settings|an option|options|the configuration|\
                the config}
            {configure|customise|customize|tune|set up} {the service|the server|stoker|it}
            find {the settings|all settings|the configuration|all options|the config file}
            {see|find|read} {a list of all|all the|every} {settings|options|setting|variables}
            """,
            about="""
            {settings|the settings|configuration|options|environment variables|the config file|.env|.env.example|\
                the settings file|the configuration}
            """,
        ),
        zh=Phrases(
            ask="""
            {设置|配置|配置文件|选项|环境变量}在{哪里|哪儿|哪个文件|什么地方}
            {在哪里|哪里|在哪儿}{改|修改|找到|能改|可以改}{设置|配置|选项}
            有{哪些|什么}{设置|配置|选项|配置项}
            {所有|全部}{设置|配置|选项}{列在|写在|在}哪里
            哪个文件{有|是|保存}{设置|配置}
            {怎么|如何}{修改|更改|改|编辑}{设置|配置|选项}
            {可以|能}{设置|配置|修改}{什么|哪些东西}
            {设置|配置}{写|放|保存|存}在哪里
            """,
            do="""
            {修改|更改|改|编辑|调整}{设置|配置|选项|配置文件|配置项}
            {配置|设置}{服务|服务器|stoker|这个服务}
            {找到|找}{设置|配置文件|配置|所有选项}
            {看到|查找}{全部|所有}{设置项|配置项|选项}
            """,
            about="""
            {设置|配置|配置文件|选项|环境变量|配置项|.env 文件}
            """,
        ),
        answer_en="The settings are in `.env`; every setting is listed in `.env.example`.",
        answer_zh="设置在 `.env` 里；所有设置都列在 `.env.example` 里。",
        key_facts=(".env", ".env.example"),
        stands_in_readme=(".env", ".env.example"),
    ),
    Topic(
        id="dev_mode",
        en=Phrases(
            ask="""
            {what is|what's} {dev mode|development mode|the dev mode|the development mode}
            {is there|do you have} a {dev|development|developer|debug} {mode|server}
            {what|which} command {starts|runs} {dev mode|development mode|the dev mode|the development server}
            how do i {start|use|enter|enable} {dev mode|development mode|the dev mode}
            how do {developers|i as a developer} {start|run} {it|the server|stoker}
            can it {reload|restart} when {the code|my code} changes
            """,
            do="""
            {start|run|launch|use|enter|enable|switch to} {the|} {dev|development|developer} {mode|server}
            {start|run|launch} {it|the service|the server|stoker} {for development|in dev mode|in development mode|\
                with auto reload|with reload|as a developer|while developing}
            {develop|work on|hack on} {stoker|the code|the server}
            reload {the server|it} when {the code|a file} changes
            {start|run|have} a {development|dev} {server|instance|environment}
            """,
            about="""
            {dev mode|development mode|developer mode|developing|the development server|auto reload|development}
            """,
        ),
        zh=Phrases(
            ask="""
            {开发模式|开发者模式|dev 模式}{是什么|怎么用|怎么启动|怎么开|如何启动}
            有{开发模式|开发者模式|dev 模式}吗
            {哪个|什么}命令{启动|进入|打开}{开发模式|dev 模式}
            {怎么|如何}{启动|进入|打开|使用}{开发模式|开发者模式|dev 模式|开发服务器}
            {开发|调试}代码{怎么|如何}{启动|运行}
            """,
            do="""
            {启动|进入|使用|用|打开|开启|切换到}{开发模式|开发者模式|dev 模式}
            {在|以|用}{开发模式|开发者模式|dev 模式}{启动|运行|下运行|下启动}{服务|}
            开发{时|的时候}{启动|运行}{服务|服务器}
            {启动|运行|打开}开发{服务器|环境}
            """,
            about="""
            {开发模式|开发者模式|dev 模式|开发服务器|开发}
            """,
        ),
        answer_en="Start the development mode with `python run.py --mode dev`.",
        answer_zh="开发模式：`python run.py --mode dev`。",
        key_facts=("python run.py --mode dev",),
        stands_in_readme=("python run.py --mode dev",),
    ),
    Topic(
        id="tests",
        en=Phrases(
            ask="""
            {what|which} command runs {the|} {tests|test suite|unit tests|checks|linter}
            {are|is} there {tests|a test suite|unit tests}
            how are {the|} {tests|unit tests|checks} {run|started|executed}
            how to {run|start|execute} {the|all|} {tests|test suite|unit tests|checks}
            how do i {run|start} {the|all|} {tests|unit tests|checks|linter}
            how do i {test|lint|check} {the code|my code|my changes}
            do the tests {pass|work|run}
            """,
            do="""
            {run|start|execute|launch|try} {the|all|} {tests|test suite|unit tests|checks|test cases}
            {test|lint|type check|verify} {the code|my change|my changes|the project|the source code}
            run {all the checks|the linter|mypy|ruff|pytest|everything before a commit}
            {see|check|know} {whether|if} {the|all} tests pass
            """,
            about="""
            {the tests|tests|the test suite|testing|unit tests|linting|pytest|type checking}
            """,
        ),
        zh=Phrases(
            ask="""
            {测试|单元测试}{怎么|如何|怎样}{运行|跑|执行}
            {哪个|什么}命令{运行|跑|执行}{测试|单元测试|检查}
            有{测试|单元测试}吗
            {怎么|如何}{运行|跑|执行|做}{测试|单元测试|检查|全部检查}
            测试命令{是什么|是哪个|}
            """,
            do="""
            {运行|跑|执行|做}{测试|单元测试|所有测试|全部测试|全部检查|测试用例}
            {测试|检查}{代码|我的修改|源代码|项目代码}
            {检验|验证|检查}{代码|修改|代码质量}
            """,
            about="""
            {测试|单元测试|运行测试|代码检查|pytest}
            """,
        ),
        answer_en="Run the tests with `make test`, and all checks with `make check`.",
        answer_zh="运行测试：`make test`；全部检查：`make check`。",
        key_facts=("make test", "make check"),
        stands_in_readme=("make test", "make check"),
    ),
    Topic(
        id="batch_size",
        en=Phrases(
            ask="""
            how many {chats|users|requests|conversations|streams|people|clients} {at once|at the same time|\
                in parallel|together|concurrently|simultaneously}
            how many {chats|users|conversations|streams|people|clients|chat requests} can {it|stoker|the server|\
                the service} {serve|handle|run|take} {at once|at the same time|in parallel|together|}
            what is the {batch size|maximum batch size|largest batch}
            {what|which} {setting|variable} {sets|controls|limits} {the batch size|how many chats run at once|\
                the number of chats|concurrent chats}
            is there a limit {on|to} {concurrent chats|simultaneous users|parallel chats|chats at once}
            can {several|many|two|multiple} {users|people|clients} {chat|use it|talk} at {once|the same time}
            {what|which} is the {maximum|largest|biggest|default} {number of chats|number of users|batch size|batch}
            how many can {chat|talk|use it} {at once|at the same time|together}
            how do i {change|set|raise} the {batch size|number of chats}
            """,
            do="""
            {change|set|raise|increase|lower|configure} the {batch size|maximum batch|number of concurrent chats|\
                number of parallel chats|number of chats at once|number of sequences}
            {serve|handle|allow|run|support} more {chats|users|conversations|people|streams|clients} {at once|\
                at the same time|in parallel|}
            let more {people|users|clients} {chat|use it} {at once|at the same time|together}
            """,
            about="""
            {batch size|the batch size|concurrent chats|parallel chats|batching|MAX_NUM_SEQS|simultaneous users|\
                continuous batching}
            """,
        ),
        zh=Phrases(
            ask="""
            {同时|并发|一次}{能|可以|最多}{支持|处理|服务|运行}{多少|几}{个聊天|个用户|个对话|人|个会话|个客户端}
            {批大小|批处理大小|batch size|最大批量}是{多少|什么}
            {哪个|什么}设置{控制|决定|限制}{批大小|并发聊天数|同时聊天的数量}
            {多个|很多|几个}{人|用户}{能|可以}{同时|一起}{用|聊天|使用}吗
            {最多|可以}{多少|几个}{人|用户}{同时|一起}{聊天|使用|用}
            {怎么|如何}{修改|设置|提高}{批大小|并发聊天数|并发数量}
            {支持|能支持}{多少|几个}{并发|同时}{聊天|用户|对话}
            """,
            do="""
            {修改|设置|提高|增加|调整|改}{批大小|批处理大小|并发聊天数|最大批量|并发对话数}
            {同时|并发}{支持|处理|服务}更多{用户|聊天|对话|人}
            让更多{人|用户}{同时|一起}{聊天|使用}
            """,
            about="""
            {批大小|批处理|并发聊天|并发用户|MAX_NUM_SEQS|同时聊天}
            """,
        ),
        answer_en="Up to 32 chats run at once by default; change this with `MAX_NUM_SEQS`.",
        answer_zh="聊天默认最多同时运行 32 个，可以用 `MAX_NUM_SEQS` 修改。",
        key_facts=("MAX_NUM_SEQS", "32"),
        stands_in_readme=("MAX_NUM_SEQS", "32"),
    ),
    Topic(
        id="long_prompts",
        en=Phrases(
            ask="""
            how are long {prompts|texts|inputs|messages} {handled|processed|read}
            {what|which} {setting|variable} is for {long prompts|prefill|long inputs|prompt processing}
            long prompts are {slow|too slow}, what can i {do|set|change}
            {what|which} is the prefill {step|step size|chunk size}
            what happens with {a very long|a long|long} {prompt|prompts|text|input}
            {can|could} i {send|use} {a long|a very long|long|huge} {prompt|text|prompts|texts}
            how do i {handle|speed up|tune} long {prompts|inputs|texts}
            my {prompt|text|input} is {long|very long|too long}
            """,
            do="""
            {handle|process|send|tune|speed up|read} {long|very long|large|huge} {prompts|inputs|texts|messages}
            {change|set|tune|configure|raise} the prefill {step|step size|chunk size}
            {change|set|tune} how long prompts are {processed|read|split}
            {make|have} long {prompts|inputs} {faster|quicker|go faster}
            """,
            about="""
            {long prompts|prefill|the prefill step size|PREFILL_STEP_SIZE|long inputs|long texts|prompt processing|\
                large prompts}
            """,
        ),
        zh=Phrases(
            ask="""
            {长|很长的|超长}{提示词|提示|输入|文本|提示语}{怎么|如何}{处理|办}
            {哪个|什么}设置{用于|控制|影响}{长提示词|预填充|长输入}
            {长提示词|长输入|长文本}{很慢|太慢}怎么办
            {预填充|prefill}{步长|大小|步长大小}是什么
            {能|可以}{发|发送|用}{很长的|长的|超长的}{提示词|文本|输入}吗
            {怎么|如何}处理{长提示词|很长的输入|长文本|长提示}
            我的{提示词|文本|输入}{很长|太长}{怎么办|}
            """,
            do="""
            {处理|发送|加快}{长提示词|很长的提示词|长输入|长文本|超长提示}
            {设置|修改|调整}{预填充|prefill }{步长|大小}
            让{长提示词|长输入|长文本}{更快|处理得更快}
            """,
            about="""
            {长提示词|长输入|预填充|长文本|PREFILL_STEP_SIZE|长提示}
            """,
        ),
        answer_en="Long prompts are read in steps; set the size of a step with `PREFILL_STEP_SIZE`.",
        answer_zh="长提示词会分步处理，用 `PREFILL_STEP_SIZE` 设置每一步的大小。",
        key_facts=("PREFILL_STEP_SIZE",),
        stands_in_readme=("PREFILL_STEP_SIZE",),
    ),
    Topic(
        id="crash",
        en=Phrases(
            ask="""
            what {happens|if|happens when|do i do when|happens if} {the engine|the model process|the backend|\
                the worker|it} {crashes|dies|fails|stops working|is killed}
            {does|will} {it|the engine|stoker|the service} {restart|recover|come back} {by itself|automatically|\
                after a crash|on its own|when it crashes}
            the engine {crashed|died|is dead|stopped|failed}
            who restarts the engine
            do i have to restart {the engine|it} {myself|by hand|after a crash}
            is there a supervisor
            what does the supervisor do
            how does {it|stoker|the service} recover from {a crash|crashes|an engine failure}
            what happens {after|in|on} {a crash|an engine crash|a failure of the engine}
            {is|will} {the engine|a crashed engine|it} {be|} restarted {automatically|by itself|after a crash|}
            {what|who} {restarts|revives|watches|supervises} {the engine|a crashed engine|a dead engine}
            what if {the engine|the model|it} {crashes|dies|hangs|breaks}
            """,
            do="""
            {recover|restart} {from|after} {a crash|an engine crash|a dead engine|an engine failure}
            {handle|survive} {crashes|a crash|engine crashes}
            restart the engine {after a crash|when it dies|}
            """,
            about="""
            {crashes|engine crashes|the supervisor|restarts|automatic restarts|crash recovery|engine failures|\
                exponential back-off}
            """,
        ),
        zh=Phrases(
            ask="""
            {引擎|模型进程|后端|推理引擎}{崩溃|挂|死|坏|出故障}了{怎么办|会怎样|会发生什么|会自动重启吗|}
            {崩溃|挂掉|出故障}{后|之后|以后}会{自动|自己}{重启|恢复}吗
            谁{负责|来}重启引擎
            要{手动|自己}重启引擎吗
            supervisor {是什么|做什么|有什么用}
            {引擎|模型}{崩溃|挂|死|坏}{了|掉了|之后}{会|}怎么样
            {引擎|服务|模型}会{自动|自己}{重启|恢复}吗
            {引擎|模型}{崩溃|死掉|挂掉}{怎么|如何}{恢复|重启}
            """,
            do="""
            {处理|应对}{崩溃|引擎崩溃|引擎故障}
            {从崩溃中|崩溃后}恢复
            在崩溃后重启引擎
            {重启|恢复}{崩溃的|挂掉的|坏掉的}引擎
            """,
            about="""
            {崩溃|引擎崩溃|自动重启|崩溃恢复|引擎故障}
            """,
        ),
        answer_en="The supervisor restarts a crashed engine by itself, with exponential back-off.",
        answer_zh="引擎崩溃后，supervisor 会自动重启它，重试间隔按指数退避（exponential back-off）。",
        key_facts=("supervisor", "restart", "exponential back-off"),
        key_facts_zh=("supervisor", "自动重启", "exponential back-off"),
        stands_in_readme=("supervisor", "exponential back-off"),
    ),
    Topic(
        id="memory",
        en=Phrases(
            ask="""
            how much {memory|ram} {does it use|does mlx use|may it use|can mlx use|is used|does stoker need}
            {what|which} {setting|variable} {limits|controls|sets} {the memory|memory use|mlx memory|ram|\
                the memory limit}
            is there a {memory limit|limit on memory|ram limit}
            it {uses|takes|needs|eats} too much {memory|ram}
            {i run|i am running|it runs|the machine runs} out of memory
            how do i {limit|reduce|lower|set} {memory|ram|the memory|memory use}
            how much {memory|ram} may {it|mlx|the server|stoker} {use|take}
            {my|the} {memory|ram} is {full|not enough|too small|used up}
            """,
            do="""
            {limit|reduce|restrict|cap|lower|control|save} {the|} {memory|ram|memory use|memory usage|mlx memory|\
                memory consumption}
            {set|change|configure|raise} {the|a} {memory limit|mlx memory limit|ram limit|limit of memory}
            {use|give mlx|give it} {less|more} {memory|ram}
            {avoid|fix|stop} {out of memory errors|running out of memory|out of memory|oom}
            {make|have} it {use|take|need} {less|more|no more than half the} {memory|ram}
            """,
            about="""
            {memory|memory use|the memory limit|MLX_MEMORY_FRACTION|ram|mlx memory|memory usage|out of memory errors}
            """,
        ),
        zh=Phrases(
            ask="""
            {用|占|使用|占用|需要}{多少|多大}内存
            {哪个|什么}设置{限制|控制|决定}内存
            {内存|内存上限|内存限制}{怎么|如何|在哪里}{限制|设置|修改}
            内存{不够|不足|用完|太高|占用太多}{了|}怎么办
            有内存{限制|上限}吗
            {怎么|如何}{限制|减少|设置|降低}{内存|内存占用|内存使用}
            {内存|电脑内存}{满了|不够用|不足|太小}{怎么办|}
            mlx {用|占|可以用}{多少|多大}内存
            """,
            do="""
            {限制|减少|降低|控制|节省}{内存|内存占用|内存使用|mlx 内存|mlx 的内存}
            {设置|修改|调整}{内存上限|内存限制|mlx 内存上限}
            {少用|多用}{内存|一点内存}
            {避免|解决}内存不足
            让{它|服务|mlx} {少用|少占|多用}{内存|一些内存}
            """,
            about="""
            {内存|内存限制|内存占用|内存上限|mlx 内存|MLX_MEMORY_FRACTION}
            """,
        ),
        answer_en="Limit the memory with `MLX_MEMORY_FRACTION` in `.env`.",
        answer_zh="内存上限用 `.env` 里的 `MLX_MEMORY_FRACTION` 设置。",
        key_facts=("MLX_MEMORY_FRACTION",),
        stands_in_readme=("MLX_MEMORY_FRACTION",),
    ),
    Topic(
        id="engines",
        en=Phrases(
            ask="""
            {what|which} {engines|inference engines|backends|engine|backend} {are there|are supported|exist|\
                can i use|does it have|is used|runs the models|does it use}
            {what|which} {setting|variable} {chooses|selects|sets|picks} {the engine|the inference engine|the backend}
            what is the {fake|mlx} engine
            is there {a fake engine|another engine|an engine for tests|a choice of engines}
            does it use {mlx|vllm|llama.cpp|pytorch|ollama}
            how do i {choose|change|select|switch} {the engine|the inference engine|the backend}
            {what|which} {inference engine|engine|backend} {are you|is this|is it} {running on|using|}
            {what|which} engines {do you support|can i choose|can it run|does stoker have}
            """,
            do="""
            {choose|change|select|set|pick|switch|use} {the engine|the inference engine|the backend|another engine|\
                a different engine|another backend|the fake engine|the mlx engine}
            run without a {real|} {engine|model}
            {test|try} {it|the server} without {a model|a real model|mlx}
            """,
            about="""
            {the engines|engines|inference engines|backends|the inference engine|INFERENCE_ENGINE|the fake engine|\
                the mlx engine|the backend}
            """,
        ),
        zh=Phrases(
            ask="""
            {有|支持}{哪些|什么}{引擎|推理引擎|后端}
            {用|使用}的是{哪个|什么|哪种}{引擎|推理引擎|后端}
            {哪个|什么}设置{选择|决定|控制}{引擎|推理引擎|后端}
            {fake|mlx} 引擎是什么
            {怎么|如何}{选择|切换|更换|换}{引擎|推理引擎|后端}
            {用|使用}{哪个|什么|哪种}{引擎|后端|推理引擎}
            {可以|能}选{哪些|什么}{引擎|后端}
            """,
            do="""
            {选择|切换|更换|修改|设置|换|使用}{引擎|推理引擎|后端|另一个引擎|别的引擎}
            {使用|用|切换到} {fake|mlx} 引擎
            {指定|换成|改用}{引擎|别的后端|其他引擎}
            """,
            about="""
            {引擎|推理引擎|后端|fake 引擎|mlx 引擎|INFERENCE_ENGINE}
            """,
        ),
        answer_en="The engines are `mlx` and `fake`; choose one with `INFERENCE_ENGINE` (default `auto`).",
        answer_zh="引擎有 `mlx` 和 `fake`，用 `INFERENCE_ENGINE` 选择（默认 `auto`）。",
        key_facts=("mlx", "fake", "INFERENCE_ENGINE"),
        stands_in_readme=("mlx", "fake", "INFERENCE_ENGINE", "auto"),
    ),
    Topic(
        id="privacy",
        en=Phrases(
            ask="""
            {is|are} my {text|prompts|messages|data|images|chats|conversations|keys|api keys} {logged|stored|saved|\
                recorded|kept|written to the logs}
            {do|does} {you|it|stoker|the server} {log|store|save|record|keep} my {text|prompts|messages|data|images|\
                chats|conversations|keys}
            is {it|stoker|the service|this} {private|safe for private data|confidential}
            what about {privacy|my privacy|data protection|my private data}
            {can|could} {someone|anyone|others|the admin} {read|see} my {prompts|chats|messages|conversations|\
                images} in the logs
            what personal data is {logged|stored|kept|in the logs}
            do the logs {contain|hold|show} my {text|prompts|messages|images|keys|chats}
            {are|is} {prompts|messages|chats|images|user data|what i write|what i say} {private|logged|stored|recorded}
            {do|does} {you|it|the log|the logs} {remember|contain|keep} what i {write|say|type|send}
            is my {data|text|chat|information} {safe|private|secure}
            """,
            about="""
            {privacy|my privacy|data protection|confidentiality|private data|what is logged about me|logging of prompts}
            """,
            do="""
            keep my {data|text|chats|prompts} {private|out of the logs|secret}
            """,
        ),
        zh=Phrases(
            ask="""
            {我的|我}{文字|提示词|消息|数据|图片|对话|聊天|密钥|内容|聊天内容}会被{记录|保存|存储|记下来|写进日志}吗
            {会|你会|服务会}{记录|保存|存储}我的{文字|提示词|消息|数据|图片|对话|聊天|内容}吗
            {隐私|我的隐私|个人数据}{安全吗|怎么保护|有保障吗|会泄露吗}
            日志里{有|会有|包含}我的{对话|提示词|图片|密钥|消息|内容}吗
            别人能看到我的{对话|聊天|消息|图片}吗
            {提示词|消息|图片|聊天内容|用户数据}会{写进日志|被记录|保存|泄露}吗
            我{写|说|发}的{内容|东西|话}会被{记录|保存|看到}吗
            我的{数据|内容|聊天|信息}{安全|保密}吗
            {有没有|有}{隐私保护|数据保护}{吗|}
            """,
            about="""
            {隐私|我的隐私|数据保护|隐私保护|数据安全}
            """,
        ),
        answer_en="Prompts, images and keys are never logged.",
        answer_zh="提示词、图片和密钥都不会被记录到日志里。",
        key_facts=("Prompts, images and keys are never logged",),
        key_facts_zh=("提示词、图片和密钥都不会被记录",),
        stands_in_readme=("prompts, images and keys are never logged",),
    ),
    Topic(
        id="unload",
        en=Phrases(),
        zh=Phrases(),
        answer_en="A model is loaded at its first request and leaves the GPU when idle (`GPU_IDLE_TIMEOUT`, "
        "`MODEL_UNLOAD_TIMEOUT`); `POST /v1/models/unload` frees it now.",
        answer_zh="模型在第一次请求时加载，空闲后离开 GPU（`GPU_IDLE_TIMEOUT`、`MODEL_UNLOAD_TIMEOUT`）；"
        "`POST /v1/models/unload` 立即卸载。",
        key_facts=("GPU_IDLE_TIMEOUT", "MODEL_UNLOAD_TIMEOUT", "POST /v1/models/unload"),
        stands_in_readme=("GPU_IDLE_TIMEOUT", "MODEL_UNLOAD_TIMEOUT", "/v1/models/unload"),
    ),
    Topic(
        id="mcp",
        en=Phrases(),
        zh=Phrases(),
        answer_en="Start the MCP server with `python run.py mcp`.",
        answer_zh="MCP 服务器：`python run.py mcp`。",
        key_facts=("python run.py mcp",),
        stands_in_readme=("python run.py mcp",),
    ),
)


def readme_facts() -> list[str]:
    """Every string that the answers rely on and README.md must therefore hold, each once."""
    return list(dict.fromkeys(fact for topic in TOPICS for fact in topic.stands_in_readme))
