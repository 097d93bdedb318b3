"""More English ways to raise each help topic: every idea in several wordings, so that no word stands in one pattern only.

`{@name}` stands for the alternatives of that name in `phrases.SHARED`.
"""

from __future__ import annotations

from training.demo.facts import Phrases

WIDER: dict[str, Phrases] = {
    "identity": Phrases(
        """
        who are you {really|exactly|then|anyway|please}
        {who|what} is {answering|speaking|talking|writing} {here|to me|}
        {who|what} am i {talking|speaking|chatting|writing} {to|with} {here|now|}
        {what|which} {ai|language model|llm|assistant|bot|chatbot} {are you|is this|is answering|do i talk to}
        {what|which} {ai|model|llm} do i {talk|speak} {to|with}
        what are you {exactly|really|then|called}
        what is {your name|the name of this model|the name of this assistant|the name of this bot}
        {tell me|say|give me} your name
        do you {have|go by} {a|any} name
        how {are you|is this model|is this assistant} called
        how should i {call|address} you
        what do {people|they|i} call you
        {please|could you|would you|will you} {introduce|describe|present} yourself
        describe yourself
        tell me {who|what} you are
        explain {who|what} you are
        i want to know {who|what} you are
        {say|tell me} something about {you|yourself}
        are you {a|an} {ai|assistant|machine|computer|program|bot|robot|chatbot|human being|person|woman|man}
        are you {a real|a big|a large|a small|a tiny|a serious|only a demo|just a demo|a demo|a toy} {model|language model|one|}
        are you {gpt|gpt-4|chatgpt|claude|gemini|qwen|llama|mistral|deepseek|siri}
        is this {gpt|chatgpt|claude|gemini|qwen|llama|mistral|deepseek|a demo|a real model|the demo model}
        is this {a|the} {real|demo|toy|big|small|full} model
        do i {talk|speak|chat} {to|with} a {human|person|machine|robot|bot|real model|demo}
        am i {talking|speaking|chatting} {to|with} a {human|person|machine|robot|bot|demo model}
        how {big|large|small|smart|clever|intelligent|strong|capable} are you
        how many {parameters|weights} {do you have|has this model|does this model have}
        what is your {size|parameter count|version|model|number of parameters|origin}
        {who|what company|which company} {made|built|trained|created|wrote|developed|programmed} {you|this model}
        who is your {maker|creator|developer|author}
        by whom were you {made|built|trained|created}
        where were you {made|trained|built|created}
        where are you from
        {are|why are} you so {small|dumb|stupid|limited|simple}
        how {smart|clever|good} is {this model|this assistant|the demo model}
        {your name|name|identity}
        """,
    ),
    "service": Phrases(
        """
        what {exactly|actually|really} is {stoker|this service|this server|this project}
        what is {stoker|this thing|this project|this server|this tool} {about|all about|then|exactly}
        what {sort|kind|type} of {program|server|service|project|software|tool|thing} is {this|stoker|it|that}
        what is the {idea|aim|meaning|benefit|function|task|job} of {stoker|this service|this server|this project|this program}
        what is the {use|purpose|point|goal|aim} of {stoker|this service|this server|this software}
        what does {stoker|this project|this program|this software|this tool} {do|offer|provide|give me}
        what {can|could} {stoker|this server|this service|the server} {do for me|offer|provide|be used for}
        what can i {do with|use} {stoker|this server|this service} {for|}
        what {is|are} {stoker|this server} {used|made|meant|good} for
        {why|when} {should|would|do} i {use|want|need|install} {stoker|this service|this server}
        what {is|are} the {features|functions|abilities|capabilities} of {stoker|this service|this server}
        which features does {stoker|this service|this server} have
        {give|show} me {an overview|a summary|a description|an introduction} of {stoker|this project|this server|this service}
        {an overview|a summary|a short description} of {stoker|this project|the service}
        {describe|explain|summarise|introduce} {stoker|this project|this service|this server|this software} {briefly|to me|in short|}
        tell me {about|more about|something about} {stoker|this service|this project|this server}
        i {am new|just arrived}, what is {this|stoker|this service}
        {what|which} {software|program|server|service} {is this|am i using|is running here|runs here}
        what do i get {from|out of|with} {stoker|this service|this project}
        what is {running|installed} {here|on this machine}
        {stoker|this service|this project} in {one sentence|a few words|short}
        """,
    ),
    "start": Phrases(
        """
        {what|which} {command|line} {do i|must i|should i} {type|run|enter|use} to {start|launch|boot} {@svc}
        what do i {type|enter|run} to {start|launch|boot|bring up} {@svc}
        {what|which} is the command {to|that} {start|starts|launch|launches} {@svc}
        the command {to start|that starts|for starting|to launch} {@svc}
        {start|launch} command
        command {for starting|to launch} {stoker|the service|the server}
        {@svc} is {down|off|not running|stopped}, how do i {start|launch|boot} it {again|}
        {@svc} does not run, how {do i|can i} {start|launch} it
        how {do i|can i|to} {start|launch|boot|begin} {stoker|the service|the server} {on my machine|on linux|on a mac|for the first time|now|again}
        how {can|do|must} {stoker|the service|the server} be {started|launched|brought up|run}
        how do i {begin|get going|get started|start} {with stoker|with this|}
        how do i {start|launch|run} everything
        {i installed it|i cloned it|it is installed}, {what now|how do i start it|how do i run it}
        {what|which} {make|make target|make command} {starts|runs} {@svc}
        how do i run {stoker|the service|it} in production
        start {stoker|the service|the server} {please|now|for me|}
        """,
        """
        {start|launch|boot|run} {stoker|the service|the server|it} {now|again|by hand|properly|from the shell|in a terminal}
        {start|launch|run|begin} {the whole service|everything|all processes|the whole thing}
        {bring|fire|boot|spin} {stoker|the service|the server|it} up
        {fire|bring|boot} up {stoker|the service|the server}
        get {stoker|the service|the server} {up and running|to run|to start|started|going}
        {switch|turn} on {stoker|the service|the server}
        {switch|turn} {stoker|the service|the server} on
        {launch|start|run} {production|the production mode|prod mode|a production server|the production server}
        {get started|begin} with {stoker|the service|this}
        """,
    ),
    "address": Phrases(
        """
        {what|which} {port|address|url|host} {is it|is that|is stoker on|is the server on|does it have|does stoker have}
        {what|which} port is {it|stoker|the server|the service} {running on|using|bound to|on}
        on {what|which} {port|address|url|host} {is|does} {stoker|the server|the service|it} {run|listen|running|listening|reachable}
        {what|which} is the {default|usual|standard|preset} {port|address|url|host}
        the default {port|address|url|host} of {stoker|the server|the service}
        what is {its|the server's|stoker's} {port|address|url|host|ip address}
        tell me the {port|address|url|host} {of the server|of stoker|}
        {under|at} {what|which} {address|url} {can i reach|is} {stoker|the server|the service}
        where {can|do} i {reach|connect to|access|open} {stoker|the server|the service|it}
        where is {stoker|the server|the service} {listening|reachable|available}
        where does {stoker|the server|the service} {listen|run} {by default|}
        {what|which} {address|url|port} {should|do|must} i {open|use|call|connect to|enter} {in my browser|in the browser|}
        {port 8000|the port|my port 8000} is {taken|in use|already in use|busy|occupied|not free|blocked}
        {another program|something else} {uses|listens on} {port 8000|the port|that port}
        {address|port} already in use
        {what|which} {@opt} {changes|sets|is for|controls} the {port|host|address}
        where {is|do i set|can i change|do i change} the {port|host|listening address}
        {can|could} it {listen on|use} {another|a different} {port|address|host}
        {can|how can} other {machines|computers} {reach|connect to|use} {it|the server|stoker}
        the {port|address|ip|url} please
        """,
        """
        {change|set|pick|switch|move|choose} the {port|host|address|port number|listening address} {of the server|of stoker|}
        {use|take|choose|run on|listen on|move to} {another|a different|a free|some other|a new} {port|address|host}
        {run|start} {stoker|the server|it} on {another|a different|a free} {port|address}
        {run|start|have} {it|stoker|the server} on port {80|8080|9000|5000}
        {make|let} {it|stoker|the server} listen on {port 80|port 9000|all interfaces|all addresses|0.0.0.0|my network}
        {connect|get|go} to {stoker|the server|the service} {with a browser|in my browser|over http|from another machine}
        {open|access|reach} {stoker|the server|the service} {in a browser|over the network|from another computer}
        """,
    ),
    "bigger_model": Phrases(
        """
        how do i load a {bigger|larger|better|real|different|new|proper|stronger} model
        how {do|can|could} i {get|use|install|run|fetch|pull|have} a {bigger|larger|better|real|different|new|proper|stronger|smarter} {model|one|llm}
        how do i {get|use|load|try} {a bigger|a larger|a real|another} one
        how {do|can} i {pull|download|fetch|obtain} {a model|models|weights|a model from the hub|a hugging face model|qwen3}
        {what|which} command {pulls|downloads|fetches|gets|installs} {a model|models|a bigger model|weights}
        the command {to pull|to download|that downloads|for pulling} {a model|models}
        where {do|can} i {get|find|download} {models|a bigger model|better models|a real model|other models}
        where do {models|bigger models|real models} come from
        where {is|do i set|do i choose} {the model|the default model|which model is used}
        {what|which} {@opt} {chooses|sets|picks|names|changes} {the model|the default model|which model runs}
        {can|could|may} {i|we} {replace|change|swap|exchange} {the model|the demo model|this model}
        {can|could|may} {i|we} {have|get|use|load|run} {qwen|qwen3|llama|mistral|gemma|a bigger model|another model|my own model}
        {can|could|does} {it|stoker|this|the server} {run|load|serve|support} {qwen|llama|mistral|gemma|bigger models|real models|other models|large models|models from hugging face}
        does it {only|just} run {the demo|this model|a small model}
        is there {a|any} {bigger|better|smarter|larger|real|other|stronger} {model|one|llm}
        are there {bigger|better|other|larger|real} models
        {your|the|these} answers are {bad|poor|wrong|useless|too simple|stupid|not good}
        {your|the} answers are {bad|poor|wrong}, how do i {improve them|get better ones|change that}
        how {do|can} i {get|have} {better|smarter|good|real} answers
        you are {too small|useless|not good enough|too dumb|too weak|no help}, i {want|need} {a better model|a real one|a bigger one}
        i {want|need|would like|wish for} {a|some} {bigger|better|real|smarter|proper|large|serious} {model|llm|one}
        this {model|demo} is too {small|weak|dumb|stupid|simple|limited}
        {bigger|larger|real|better|other} model please
        from the demo to a {real|bigger|proper} model
        what {must|do} i {put|write} in .env for {a bigger|another|a real} model
        """,
        """
        {load|use|run|get|install|pull|download|serve|fetch|have|host} {a bigger|a larger|another|a real|a different|a new|a better|a proper|some other|my own|a large} {model|llm|language model|one}
        {load|use|run|get|pull|download|serve|try} {qwen|qwen3|qwen3-4b|llama|llama 3|mistral|gemma|phi|deepseek|mlx-community/Qwen3-4B-4bit}
        {pull|download|fetch} {a model|models|model weights|weights|something bigger} {from hugging face|from the hub|from the internet|}
        {change|switch|replace|swap|exchange|upgrade} {the|this|your} {model|demo model|small model|default model}
        {change|switch|move} {to|over to} {a bigger|a larger|another|a real|a better|a different} {model|one}
        {change|set|edit} {the default model|which model is used|which model is loaded|DEFAULT_MODEL}
        {get|have|receive|obtain} {better|smarter|longer|real|good} {answers|replies|results}
        {improve|raise} the {quality|answers|quality of the answers|intelligence}
        {get rid of|leave|stop using} {the demo|the demo model|this small model}
        {serve|load|use} a model {from disk|from a folder|of my own|from my machine|i downloaded}
        make {it|you|the answers|the model} {smarter|better|bigger|cleverer}
        """,
    ),
    "logs": Phrases(
        """
        where {are|is} {the|your|my|its|all the} {log|logs|log files|logfiles|log output|log folder|log directory} {kept|stored|saved|written|located|found|}
        where {can|do|could|should|would} i {find|see|read|look at|get|check|view|look for} {the|your|its|all} {log|logs|log files|logfiles}
        where do {the|your} {logs|log files|log lines|log messages} {go|end up|live|lie|land|get written}
        where {do|should} i look for {the|} {logs|log files|log output}
        where does {@svc} {write|put|store|save|keep} {the|its|} {logs|log files|log}
        where does {@svc} log {to|}
        {what|which} {folder|directory|place|path} {are|is} the {logs|log files|log} in
        in {what|which} {folder|directory|place|file} {are|do i find|can i find} the {logs|log files}
        {what|which} {folder|directory} do the logs {go to|live in|lie in}
        {what|which} is the {log folder|log directory|path of the logs|name of the log folder}
        {what|which} {log files|logs} {are there|exist|do i have|does stoker write|are written|are kept}
        {what|which} files {are|does it} {logs|log to|written as logs}
        {list|show|name|give} {me|} {the|all the} {logs|log files}
        is there {a|any} {log|log file|logfile|log folder}
        are there {logs|log files|any logs}
        does {@svc} {write|keep|have} {a log|logs|log files}
        {how|where} can i see what {it|the server|stoker} {did|has done|is doing in the logs|logged}
        {path|location|place|folder|directory} of the {logs|log files|log}
        {log|logs|logfile|log file} {location|path|folder|directory|place}
        {logs|log files} {where|please|location|folder}
        {which|what} file has the {api requests|requests|model operations|system metrics|access log}
        where {are|is} {api requests|requests|model operations|system metrics} {logged|written|recorded}
        the log of the {requests|api requests|model operations}
        """,
        """
        {find|see|read|view|open|look at|check|get|show|inspect|locate|search|follow|tail|look into} {the|your|its|all|} {logs|log files|logfiles|log|log folder|log output}
        {get|go|come} to the {logs|log files|log folder}
        {look|search|dig} {in|into|through} the {logs|log files}
        {see|find out|read|know|check} what {happened|was logged|the server did|stoker did|went on}
        {browse|list|copy} the {logs|log files|log folder}
        """,
    ),
    "errors": Phrases(
        """
        where {are|is|do i find|can i find|do i see|can i see|do i read} {the|all|} {error|errors|error log|error messages|errors logged|exceptions|tracebacks|failures|stack traces}
        where {are|do} {errors|failures|exceptions|tracebacks|error messages} {go|written|logged|stored|kept|shown|end up|appear|recorded|saved}
        where {does|do} {@svc} {write|log|put|store|save|keep} {its|the|} {errors|failures|exceptions|error messages}
        {what|which} {file|log|log file} {has|holds|shows|contains|keeps|lists|is for} {the|all|} {errors|failures|exceptions|error messages|tracebacks}
        {what|which} is the error {log|file|log file}
        in {what|which} {file|log} {are|do i find|can i find} the {errors|exceptions|failures|error messages}
        {something|a request|it|the server|my request|a call} {failed|broke|went wrong|gave an error|crashed with an error}, where {do i look|can i look|do i see why|can i read why}
        {i got|i have|there is|there was|i see|it shows} {an error|an exception|a failure|an error message|a traceback}, where {do i look|can i see more|is it logged|can i find it}
        {i get|i see|it shows|there are} {errors|error messages|exceptions}, where {are they|do i look|are they logged}
        why did {it|my request|a request|the request} fail, where {do i|can i} {look|see|read}
        a request failed, {what now|where do i look|where is the reason|where can i see why}
        {show|give} me {the|all|the last|the latest} {errors|error messages|error log|exceptions}
        where {can|do} i {see|find|read|learn} {why|what} {it failed|went wrong|a request failed|failed}
        {error|errors} {log|file|log file|log location|log path} {where|please|}
        is there an error {log|file}
        """,
        """
        {find|see|read|view|look at|check|inspect|open|get|show|list} {the|all|the last|} {errors|error log|error messages|exceptions|failures|tracebacks|error file|errors log}
        {find out|see|know|learn|understand} {why|what} {it failed|went wrong|a request failed|failed|broke|my request failed}
        {debug|investigate|trace|analyse|look into} {an error|errors|a failure|a failed request|the failure|an exception|a problem}
        {find|see} the {reason|cause} of {an error|a failure|the failure|the error}
        """,
    ),
    "log_retention": Phrases(
        """
        how long {are|do you keep|does it keep|will you keep} {the|old|} {logs|log files}
        how {long|many days} {are|will} {the|} {logs|log files} {kept|be kept|stored|be stored|there|available|retained|live|stay|last}
        how {long|many days} do {the|} {logs|log files} {live|stay|last|survive|remain}
        for how {long|many days} {do you|does it|does stoker|does the server} keep {the|} {logs|log files}
        after {what time|how long|how many days|how much time} are {the|old|} {logs|log files} {deleted|removed|purged|thrown away|cleaned up}
        when {are|do} {the|old|} {logs|log files} {deleted|removed|purged|cleaned|expire|disappear|go away|thrown away}
        when does {it|stoker|the server} {delete|remove|purge|clean up} {the|old|} {logs|log files}
        {are|do|will} {old|the} {logs|log files} {deleted|removed|purged|expire|disappear|kept forever|stay forever} {automatically|by themselves|}
        does {@svc} {delete|remove|purge|clean up} {old|the} {logs|log files}
        {what|which} is the {log retention|retention of the logs|retention time|retention period|age limit of logs|lifetime of logs}
        {log|logs} {retention|lifetime|expiry|expiration}
        {what|which} {@opt} {sets|controls|changes|is for} {the log retention|how long logs are kept|the age of logs|deleting old logs}
        {do|will} {the logs|logs|log files} {fill|eat|use up|flood} {my|the} {disk|disk space|hard disk}
        {the logs|logs|log files} {fill|eat|take|need} {my|the|too much} {disk|disk space|space}
        how {old|far back} do {the|} {logs|log files} {get|go|reach}
        number of days {logs|log files} are kept
        """,
        """
        keep {the|my|} {logs|log files} {longer|for a month|for 60 days|for a week|forever|for more days|a year|for less time}
        {store|retain|save} {the|} {logs|log files} {longer|for a year|for more days}
        {change|set|configure|shorten|extend|raise|lower} {the log retention|how long logs are kept|the retention time|the retention period|the days logs are kept|the lifetime of logs}
        {delete|remove|clean up|purge|drop|throw away|get rid of} {old logs|the old logs|old log files|logs sooner|logs earlier|logs after a week}
        {limit|control} the age of {the|} {logs|log files}
        {stop|keep} the logs from {filling|eating} {my|the} disk
        """,
    ),
    "log_level": Phrases(
        """
        {what|which} is the {log level|logging level|level of the logs|verbosity}
        {what|which} log levels {are there|exist|can i use|do you have|are possible}
        {what|which} {@opt} {sets|changes|controls|is for} the {log level|logging level|verbosity|level of logging}
        where {is|do i set|can i set|do i change|can i change} the {log level|logging level|verbosity}
        {can|could} i {change|set|raise|lower} the {log level|logging level|verbosity}
        {can|could} {i|it|you} log {more|less|more details|less noise}
        the {log|logs|logging} {is|are} too {verbose|noisy|chatty|detailed|quiet|short|loud|long}
        {logs|logging} {is|are} too {verbose|noisy|chatty|detailed|quiet|loud}
        there is too {much|little} {in the logs|logging|log output|log noise}
        there are too {many|few} {log lines|log messages|messages in the logs|lines in the logs}
        too {many|much} {log lines|log messages|log output|debug messages}
        how do i {get|see|turn on|enable|write|show} {debug|debugging|verbose|detailed} {logs|messages|output|logging}
        where do i {turn on|enable|switch on} {debug|verbose|debugging} {logs|logging|messages|output}
        {can|how can} i see {debug|more|detailed} {logs|log messages|log output|messages}
        {log|logging} {level|verbosity}
        i {want|need} {more|less|fewer|debug} {log messages|log output|log lines|logging|details in the logs}
        """,
        """
        {change|set|raise|lower|adjust|choose|increase|reduce} {the|} {log level|logging level|verbosity|level of the logs|verbosity of the logs}
        {turn|switch} {on|off} {debug|verbose|debugging} {logs|logging|messages|output}
        {enable|disable|activate|get|see|print|show|write} {debug|verbose|debugging|detailed|more detailed} {logs|logging|log messages|log output|log lines}
        {log|write} {more|less|more details|only errors|only warnings|debug messages|fewer lines|everything}
        {get|see|have} {more|less|fewer} {log output|log messages|log lines|details in the logs|messages in the logs}
        make the {logs|log|logging} {more|less} {verbose|detailed|noisy|chatty}
        {make|have} {the logs|the log|logging} {quieter|louder|shorter|longer|more verbose}
        """,
    ),
    "ocr": Phrases(
        """
        how {do|can|could} i {read|extract|get|recognise|recognize|pull|copy|take} {the|} {text|words|letters|writing|content} {from|in|of|out of|on} {an image|a picture|a photo|a scan|a screenshot|images|a page|a scanned page|a receipt|an invoice}
        {can|could|does|will} {it|you|stoker|the server|this} {read|recognise|recognize|extract|get} {the|} {text|words|writing|letters} {in|from|on|of} {images|pictures|photos|scans|a picture|an image|a photo|screenshots|a page}
        {can|could|does} {it|you|stoker|the server} {read|understand|process|scan} {images|pictures|photos|scans|documents|a picture|a photo}
        {can|could|does|will} {it|you|stoker|the server|this} do {ocr|text recognition|character recognition|image to text}
        is {ocr|text recognition|character recognition} {possible|supported|there|available|built in}
        is there {ocr|an ocr|an ocr endpoint|an ocr route|text recognition|an ocr api|a way to read images}
        {what|which} {@ep} {does|is for|reads|handles|is used for|do i use for} {ocr|text recognition|images|pictures|reading pictures|reading images}
        {what|which} is the {ocr|text recognition} {endpoint|route|url|path|api|address}
        where {do|can|should|must} i {send|post|upload|put} {an image|a picture|a photo|a scan|my image|images|a page|my scan} {for ocr|to get the text|to read the text|for text recognition|}
        where is the {ocr|text recognition} {endpoint|route|api|}
        how {does|do i use|do i call|can i use|can i try|do i run} {ocr|the ocr|text recognition|the ocr endpoint|the ocr api} {work|}
        {what|which} {text|words|letters} {is|are|stand|can you read} {in|on} {this|the|my} {image|picture|photo|scan|screenshot|page}
        what {does|is written} {it say|} {in|on} {this|the|my} {image|picture|photo|scan|screenshot|page}
        i have {an image|a picture|a photo|a scan|a screenshot|a scanned letter|scans}, how {do i get|can i get|do i read|do i extract} the {text|words}
        i {want|need|would like} the {text|words} {of|from|in|on} {an image|a picture|a photo|a scan|a screenshot}
        {please|can you|could you|will you|} read {this|my|the|an} {image|picture|photo|scan|screenshot} {for me|please|}
        {image|picture|photo|scan|screenshot} to text
        {text|words} from {image|images|a picture|a photo|pictures|a scan}
        {do you|does it|does stoker} {have|offer|support|do|know} {ocr|text recognition|image recognition}
        curl {for|command for} ocr
        """,
        """
        {read|extract|get|recognise|recognize|pull|copy|take|grab|detect} {the|} {text|words|letters|writing|content|characters} {from|in|on|out of|of} {an image|a picture|a photo|images|pictures|photos|a scan|scans|a screenshot|a page|a png|a jpeg|a receipt|an invoice}
        {turn|convert|change|make} {an image|a picture|a photo|a scan|images|a page|a screenshot} {into|to} {text|words|plain text}
        {use|run|call|try|do|test|make} {ocr|the ocr|the ocr endpoint|text recognition|the ocr api|an ocr request|ocr with curl} {on an image|on a picture|}
        {send|post|upload|submit} {an image|a picture|a photo|a scan|a page|images|my image} {for ocr|to the ocr|to the server|for text recognition|for reading|}
        {scan|digitise|digitize|transcribe|process|read} {a page|a document|documents|an image|a photo|a letter|a picture|images|pictures|a receipt}
        {have|let} {an image|a picture|a photo|a scan} {read|recognised|transcribed|processed}
        {recognise|recognize} {text|letters|images|pictures|characters}
        """,
    ),
    "image_formats": Phrases(
        """
        {what|which} {formats|file formats|image formats|picture formats|file types|image types|types of images|kinds of images|kinds of files|files} {are supported|does it support|are accepted|does it accept|are allowed|can it read|can ocr read|does ocr read|does ocr take|can i use|can i send|can i upload|work|are possible|are ok}
        {what|which} {image|picture|file|photo} {format|type|formats|types} {do you|does stoker|does the server|does ocr} {support|accept|take|read|need|want}
        in {what|which} {format|formats|file format|file type} {must|should|can} {the image|my image|the picture|images|pictures|the file} be
        {what|which} format {must|should} {the image|my image|the picture|a picture|the file} {have|be in|be}
        {is|are} {png|jpeg|jpg|webp|tiff|bmp|gif|pdf|heic|zip} {files|images|} {supported|accepted|allowed|ok|possible|fine}
        {can|could|may} i {send|upload|use|post|give} {a|an|} {png|jpeg|jpg|webp|tiff|bmp|gif|pdf|zip} {file|image|picture|} {for ocr|to ocr|to the ocr|}
        {can|does|will} {it|ocr|you|stoker|the ocr} {read|take|accept|support|handle|open} {a|} {png|jpeg|jpg|webp|tiff|bmp|gif|pdf|zip} {files|file|images|image|}
        {does|will|would} {a|an|} {png|jpeg|jpg|webp|tiff|bmp|gif|pdf|zip} {file|image|picture|} {work|do|be accepted|be ok}
        {can|could} ocr {read|open|take} {pdf|pdfs|a pdf|zip files|gifs|png|jpeg files}
        do you {support|accept|take|read} {png|jpeg|jpg|webp|tiff|bmp|gif|pdf|zip} {files|images|}
        {supported|accepted|allowed|possible} {formats|image formats|file formats|file types|image types|picture formats}
        {list of|all|the} {supported formats|image formats|accepted formats|supported image formats|file types for ocr}
        {file|image|picture} {formats|types} {for ocr|of ocr|that work}
        only {png|jpeg}, or {other formats|other file types|which formats} too
        """,
    ),
    "ocr_workers": Phrases(
        """
        how many {ocr workers|ocr processes|workers for ocr|processes for ocr|workers} {are there|are running|does ocr have|does ocr start|does ocr use|run ocr|do ocr|should i use for ocr}
        how many {workers|processes} {read|work on|are for|recognise} {images|pictures|ocr|pages}
        {what|which} {@opt} {sets|controls|changes|is for} {the ocr workers|the number of ocr workers|the ocr processes|how many ocr workers run|the count of ocr processes}
        where {is|do i set|can i change|do i change|can i set} the {number|count} of {ocr workers|ocr processes|workers for ocr}
        how {do|can} i {set|change|raise|lower|increase} the {number|count} of {ocr workers|ocr processes|workers for ocr}
        {can|could} i {have|start|use|run|add|get} more {ocr workers|ocr processes|workers for ocr|processes for ocr}
        ocr is {slow|too slow|not fast enough|very slow|sluggish}
        {ocr|text recognition|reading images} {takes|needs} {too|so} {long|much time}
        ocr is {slow|too slow}, {how do i make it faster|what can i do|can it be faster|what helps}
        why is ocr so slow
        how {do|can} i make ocr {faster|quicker|run faster}
        {can|could} {ocr|the ocr} {be|run|get|work} {faster|quicker|on more cores|in more processes}
        {number|count} of ocr {workers|processes}
        {more|fewer} ocr {workers|processes}
        """,
        """
        {set|change|raise|increase|lower|reduce|configure|choose} {the ocr workers|the number of ocr workers|the count of ocr workers|the ocr processes|the number of ocr processes|how many workers ocr has}
        {add|start|use|run|have|get|give ocr} {more|fewer|four|two|additional} {ocr workers|ocr processes|workers for ocr|processes for ocr}
        {speed|scale} up {ocr|the ocr|text recognition}
        {speed up|accelerate|scale|parallelise} {ocr|the ocr|text recognition}
        make {ocr|the ocr|text recognition} {faster|quicker|run faster|go faster}
        {give|allow} ocr {more|fewer} {workers|processes|cores|cpu}
        """,
    ),
    "ocr_busy": Phrases(
        """
        why {do|did|am} i {get|got|getting|see} {a 429|429|error 429|status 429|too many requests|http 429}
        why does {it|ocr|the server|stoker} {answer|return|send|say|give} {a 429|429|error 429|too many requests}
        what {does|is|means} {a 429|429|error 429|status 429|http 429|too many requests|Retry-After} {mean|}
        what {do|can|should} i do {about|against|with|when i get} {a 429|429|error 429|too many requests}
        {i get|i got|i see|there is|ocr says|it returns} {a 429|429|error 429|status 429|http 429|too many requests} {all the time|often|for ocr|what now|}
        {when|why} {is|does} {429|a 429|too many requests} {returned|sent|come|happen}
        what is {Retry-After|the Retry-After header|a Retry-After}
        what does {Retry-After|the Retry-After header} {mean|say|tell me}
        how many {ocr requests|ocr calls|images|pictures|pages} {can|may} {i send|run|be sent|be read} {at once|at the same time|in parallel|together|concurrently}
        how many {concurrent|parallel|simultaneous} {ocr requests|ocr calls|images} {are allowed|are possible|can i send|does it take}
        {what|which} is the {limit|maximum} {of|for|on} {ocr requests|concurrent ocr requests|ocr calls|parallel ocr requests}
        {what|which} {@opt} {limits|sets|controls} {ocr concurrency|concurrent ocr requests|parallel ocr requests|how many ocr requests run}
        is there a limit {of|for|on|to} {ocr requests|ocr calls|concurrent ocr requests|parallel ocr}
        {my|the|an} ocr {request|call} {was|is|got} {refused|rejected|turned away|denied|not accepted}
        why {was|is} my {ocr request|image|ocr call} {refused|rejected|turned away|denied}
        what happens {when|if} {i send too many images|i send many ocr requests|too many ocr requests come|ocr is overloaded|ocr gets too many requests}
        {too many|many} {ocr requests|ocr calls|images} {at once|at the same time|in parallel}
        {ocr|the ocr} is {busy|overloaded|full|too busy}
        {ocr|the ocr} says it is {busy|overloaded|full}
        """,
        """
        {raise|increase|lift|change|set|configure} {the ocr limit|the limit of ocr requests|the ocr concurrency|the number of concurrent ocr requests|the limit for parallel ocr requests}
        {send|run|handle|allow|process} {more|many|several|a lot of} {ocr requests|ocr calls|concurrent ocr requests|parallel ocr requests}
        {send|run|read|process|handle|ocr} {many|several|more|a lot of|twenty} {images|pictures|pages} {at once|at the same time|in parallel|concurrently}
        {avoid|prevent|fix|stop|get rid of|handle|deal with|solve} {a 429|429|429 errors|too many requests|error 429|the 429|refused ocr requests}
        """,
    ),
    "chat_endpoint": Phrases(
        """
        {what|which} {@ep} {is for|does|is used for|handles|do i use for|serves|answers} {chat|chats|chatting|chat completions|conversations|chat requests|talking to the model|messages}
        {what|which} is the {chat|chat completions|conversation} {endpoint|route|url|path|api|address}
        where {is|do i find} the {chat|chat completions|completions} {endpoint|route|url|api}
        where {do|can|should|must} i {send|post|put} {a chat request|chat requests|chat messages|my messages|a message|my prompt|prompts|a prompt|questions|my question|a conversation}
        to {what|which} {url|endpoint|route|address} do i {send|post} {a chat|messages|chat requests|my prompt|my messages}
        {what|which} url do i {call|post to|use} {to chat|for chat|for a chat|to talk to the model}
        how {do|can} i {chat|talk|speak} {with|to} {the model|a model|it} {with curl|over http|from a program|from a script|through the api|by http|from code|over the api}
        how {do|can} i {ask|query|prompt} {the model|a model} {with curl|over http|from a program|from a script|through the api|from code}
        how {do|can} i {send|post} {a chat request|a message|a prompt|chat messages|a question} {to the model|to the api|with curl|over http|}
        how {does|do i call|do i use|can i use} the {chat|chat completions} {api|endpoint|route} {work|}
        is there {a|an} {chat|chat completions|conversation} {api|endpoint|route}
        {can|could} i chat {over http|with curl|over the api|from a program|from code|through http}
        {chat|chat completions|conversation} {api|endpoint|route|url|path} {please|}
        curl {for|command for|example for} {chat|a chat|chatting}
        """,
        """
        {send|post|make|submit} {a chat request|a chat message|chat messages|a prompt|a message|messages|a chat|a chat completion request} {to the model|over http|with curl|to the api|}
        {chat|talk|speak} {with|to} {the model|a model|it} {over http|with curl|through the api|from a program|from a script|from code|over the api}
        {call|use|query|try|test} the {chat|chat completions|conversation} {api|endpoint|route}
        {ask|prompt|query} {the model|a model} {with curl|over http|through the api|from a script|from a program|from code}
        {get|request} {a chat completion|a completion|a chat answer|chat completions|a completion from the model}
        {start|have} a {chat|conversation} {over http|with curl|over the api|through the api}
        """,
    ),
    "streaming": Phrases(
        """
        {can|could|does|will} {it|you|stoker|the server|the api|the chat} stream {answers|the answer|tokens|responses|text|replies|}
        {is|are} {streaming|streams|streamed answers|token streaming} {supported|possible|available|there|on by default}
        does {it|stoker|the server|the api} {support|do|have|offer|allow} {streaming|streams|server-sent events|sse|token streaming}
        is there {streaming|a stream option|a streaming mode|a way to stream}
        {what|which} {field|option|parameter|flag|setting} {turns on|enables|is for|starts|switches on|activates} {streaming|the stream|streams}
        {what|which} {field|option|parameter} {do i|must i} {set|send|add} {for streaming|to stream|to get a stream}
        how {do|can|could} i {stream|get a stream|turn on streaming|enable streaming|switch on streaming|use streaming|receive a stream|get streaming}
        how {do|can} i stream {the answer|answers|tokens|the response|responses|text|the output}
        how does {streaming|the stream|token streaming} work
        how {do|can} i {get|see|receive|have} {the answer|the response|the text|tokens} {word by word|token by token|piece by piece|bit by bit|as it comes|live|while it is written|while it is generated}
        {can|could} i {get|see|receive|have} {the answer|the response|the text|tokens} {word by word|token by token|piece by piece|bit by bit|as it is written|live|while it is made}
        {can|could} the {answer|response|text} {come|appear|be sent|arrive} {word by word|token by token|piece by piece|bit by bit|live|while it is written}
        i {want|do not want|don't want} to {wait for the whole answer|wait until the answer is complete|see the answer live|see words as they come}
        {streaming|streamed} {answers|responses|output|chat|}
        answers {word by word|token by token|piece by piece}
        """,
        """
        {stream|receive|get|read|see|show} {the|an|} {answer|answers|response|responses|text|output|tokens|reply} {word by word|token by token|piece by piece|bit by bit|as a stream|as it comes|live|while it is written}
        {stream|streaming} {the answer|answers|tokens|responses|the response|the output|chat|a chat|replies}
        {enable|activate|use|get|try|start|have} {streaming|streamed answers|a stream|token streaming|sse|server-sent events}
        {turn|switch} {on|} {streaming|the stream} {on|}
        {have|make|let} the {answer|response|output|text} {stream|come piece by piece|come word by word|appear word by word|arrive as a stream|be streamed}
        see the {answer|text|response} while it is {written|generated|made|being written}
        """,
    ),
    "openai_client": Phrases(
        """
        {can|could|may} i {use|connect|take|try} {the openai package|the openai client|the openai library|the openai sdk|openai's client|openai's library|an openai client|python|the python client}
        {does|will|can} {the openai package|the openai client|the openai sdk|openai's library|my openai code|an openai client|openai code} {work|run|connect|talk} {with it|with stoker|with this server|with this|here|to it}
        {does|will} {it|stoker|this|the server} {work|talk|go} with {openai|the openai client|the openai package|the openai sdk|openai clients|openai code|langchain}
        is {it|stoker|this|the api|the server} {compatible with openai|openai compatible|openai-compatible|like openai|the same as openai|compatible to the openai api}
        {what|which} {base_url|base url} {is it|do i set|do i need|should i use|must i use|is right|does the client need}
        {what|which} {client|library|package|sdk|client library} {can i use|do i use|works|should i use|do i need|is there}
        {what|which} python {client|library|package|sdk|module} {can i use|do i use|works|should i use|is there}
        {what|which} do i {set|put|write|enter} {as|for|in} {base_url|the base_url|the base url}
        where {do i|must i} point {the openai client|my openai client|my client|the base_url}
        {how|where} do i set {base_url|the base_url|the base url}
        how {do|can} i {call|use|query|reach|access} {it|stoker|the server|the service|the api|you} {from python|with python|in python|from a python program|in a python script}
        how {do|can} i {use|connect|set up|configure} {the openai package|the openai client|the openai sdk|openai's library|an openai client}
        is there {a|an} {python client|client library|python package|sdk|python library}
        {can|could} i {call|use|query} {it|stoker|the server|the service} {from python|with python|in python}
        {python|openai} {client|package|example|library|sdk}
        {openai|python} example code
        i have {openai code|a program for openai|a script that uses openai|an openai app}, {does it work|can i use it|how do i connect it}
        """,
        """
        {use|connect|configure|set up|try|install} {the openai package|the openai client|the openai library|the openai sdk|openai's python package|an openai client}
        {call|use|query|reach|access} {it|stoker|the service|the server|the api} {from python|with python|in python|from a python program|from my python code}
        {set|change|choose|configure} {base_url|the base_url|the base url} {of the openai client|in the openai client|}
        {point|connect|direct} {the openai client|my openai app|my client|my openai code|an openai program} {to|at|with} {it|stoker|this server|the server}
        {use|reuse|run|keep} {my openai code|my existing openai code|existing openai programs|code written for openai}
        {write|make|build} a {python client|client in python|python program for stoker|client with openai}
        """,
    ),
    "list_models": Phrases(
        """
        {what|which} models {are there|are available|do you have|are installed|are here|do i have|are on this machine|are local|are served|are loaded|exist|can i use|can i choose from|does it have|are on disk}
        {what|which} models {have i|did i} {pulled|downloaded|got}
        {what|which} {command|@ep} {lists|shows|prints|gives|returns} {the|all|my|} {models|available models|local models|installed models}
        {show|list|give|tell} {me|} {the|all|my|all the} {models|available models|local models|installed models|downloaded models|model names}
        {can|could} i {see|list|have|get} {the|a list of|all} {models|available models|local models}
        how {do|can} i {see|list|show|find|get} {the|all|available|all my|local|which} {models|models there are|models are there}
        how many models {are there|do you have|do i have|are installed|are here}
        is there a {list|table|overview} of {models|the models|available models|all models}
        where {can i see|do i see|is|is there} {the|a} {list of models|model list|list of available models}
        {list|overview|names} of {models|the models|available models|local models}
        {model list|models list|available models|local models|installed models}
        {what|which} model names {are there|can i use|are valid}
        """,
        """
        {list|see|show|view|print|display|get} {the|all|all the|my|} {models|available models|local models|installed models|downloaded models|model names|model ids|models on this machine|models on disk}
        {find out|see|know|check|learn} {which|what} {models|model names} {are available|there are|are here|are installed|i have|i can use|are loaded|are local}
        get {a list|the list|an overview} of {the|all|} {models|available models|local models|model names}
        """,
    ),
    "health": Phrases(
        """
        is {stoker|the service|the server|it} {healthy|alive|ready|up|well|live|still alive|working fine|ok}
        {are|is} {you|it|the server} {alive|healthy|ready|up|still there}
        how {do|can} i {check|test|see|know|find out|tell} {if|whether|that} {stoker|the service|the server|it} is {alive|healthy|ready|up|live|ok}
        how {do|can} i check {the health|its health|the health of the service|liveness|readiness|the server's health}
        {what|which} {@ep} {is for|does|shows|reports|tells|gives|is used for} {health|the health|liveness|readiness|health checks|the health check}
        {what|which} {@ep} {says|tells|shows} {if|whether} {it|the server|stoker} is {alive|healthy|ready|up}
        {what|which} {health checks|probes|health endpoints|health routes} {are there|exist|do you have|can i use|does it have|can kubernetes use}
        is there {a|an|any} {health check|health endpoint|health route|liveness probe|readiness probe|healthcheck|probe}
        {what|which} {url|path|probe} {do i|should i} {use|give|set} for {the health check|a load balancer|kubernetes|a liveness probe|a readiness probe|docker's health check}
        where is the {health check|health endpoint|healthcheck|readiness probe|liveness probe}
        what {is|does|are} {/health|/livez|/readyz|livez|readyz|/livez and /readyz} {for|do|mean|}
        {health|liveness|readiness} {check|probe|endpoint|route|url}
        how does {kubernetes|a load balancer|docker|my load balancer} {check|see|know} {it|the server|that it is alive|whether it is ready}
        {when|how do i know when} is it ready
        """,
        """
        {check|test|see|probe|monitor|query|watch} {the health|its health|the health of stoker|the server's health|the health of the server|liveness|readiness|the health status}
        {check|see|know|test|find out|make sure} {if|whether|that} {it|stoker|the server|the service} is {alive|healthy|ready|up|live}
        {set up|configure|add|write|make|use|create} {a|the} {health check|healthcheck|liveness probe|readiness probe|kubernetes probe|probe|docker health check|load balancer check}
        {ping|probe} {the service|the server|stoker}
        {wait until|wait till} {it|the server|stoker} is ready
        """,
    ),
    "metrics": Phrases(
        """
        where {are|is|do i find|can i find|can i see|do i get} {the|} {metrics|prometheus metrics|counters|statistics|measurements|prometheus endpoint}
        {what|which} {@ep} {has|gives|serves|exports|shows|is for|returns} {metrics|the metrics|prometheus metrics|counters|prometheus}
        {are|is} there {metrics|any metrics|counters|a metrics endpoint|prometheus metrics|prometheus support|a prometheus endpoint|an exporter}
        {does|can} {it|stoker|the server|the service} {export|have|expose|give|offer|provide} {metrics|prometheus metrics|counters|statistics}
        {does|can} {it|stoker|the server} {support|work with|talk to|feed} {prometheus|grafana}
        {can|could|how can|how does} {prometheus|grafana} {scrape|monitor|read|watch|collect from|connect to} {it|stoker|the server|the service}
        how {do|can} i {get|see|scrape|collect|read|export|fetch|graph|plot} {the|} {metrics|prometheus metrics|counters|statistics}
        how {do|can} i {monitor|watch|graph|observe} {stoker|the service|the server|it} {with prometheus|with grafana|in grafana|in prometheus}
        {what|which} metrics {are there|does it export|are exported|do you have|can i scrape|does it have}
        {what|which} {url|path|target} {does prometheus need|do i give prometheus|do i scrape}
        {prometheus|metrics|grafana} {endpoint|url|route|path|scraping|support|target}
        how {many tokens|many requests|fast} {does it count|are counted|is measured} in {the metrics|prometheus}
        """,
        """
        {scrape|collect|get|read|see|export|fetch|view|show} {the|all|} {metrics|prometheus metrics|counters|statistics|measurements}
        {use|connect|set up|configure|add|attach} {prometheus|grafana|a prometheus|monitoring with prometheus|a grafana dashboard|prometheus and grafana}
        {graph|plot|chart|watch|track|draw} {the|} {metrics|performance|throughput|latency|counters}
        {monitor|measure|observe|graph} {the service|the server|stoker|throughput|latency|performance} {with prometheus|with grafana|in prometheus|in grafana|with metrics}
        """,
    ),
    "gpu_status": Phrases(
        """
        {is|does} {it|stoker|the server|the model|the service} {use|using|run on|running on} {the gpu|a gpu|my gpu|the graphics card|my graphics card|metal|cuda|the cpu or the gpu}
        is {the|my|a} {gpu|graphics card} {used|in use|busy|working|found|active|recognised|detected}
        {what|which} {gpu|graphics card|device|accelerator} {is used|is in use|does it use|do you use|does it run on|is found|is it on}
        how {much|many} {gpu memory|graphics memory|video memory|memory of the gpu} {is used|is free|is left|does it use|is in use}
        how {busy|full|hot|loaded} is {the gpu|my gpu|the graphics card}
        how is {the gpu|my gpu|the graphics card} {doing|used|}
        {what|which} {@ep} {shows|reports|gives|tells|is for} {the gpu|gpu status|the gpu status|the gpu memory|the state of the gpu|gpu usage}
        what is the {state|status|load|usage|memory} of {the gpu|my gpu|the graphics card}
        what is the gpu {status|state|doing|usage|load|memory}
        where {can|do} i {see|check|find} {the gpu|the gpu status|gpu usage|gpu memory|whether the gpu is used}
        {show|give|tell} me {the|} {gpu status|gpu|gpu memory|gpu usage|state of the gpu}
        how {do|can} i {see|check|know|find out} {the gpu status|if the gpu is used|whether it uses the gpu|gpu usage|gpu memory|which gpu is used}
        {gpu|graphics card} {status|state|usage|load|memory|info|information}
        am i {using|running on} {the gpu|a gpu|metal}
        """,
        """
        {see|check|get|show|view|read|query|print|display} {the|my|} {gpu|gpu status|gpu memory|gpu usage|gpu load|gpu state|graphics card|status of the gpu|state of the gpu|gpu information}
        {see|check|know|find out|tell} {if|whether} {it|the server|the model|stoker} {uses the gpu|runs on the gpu|uses my graphics card|uses metal}
        {see|check|know|find out} {if|whether} the gpu is {used|in use|busy|working|found}
        {monitor|watch|inspect|track|observe} {the gpu|gpu memory|gpu usage|gpu load|my gpu|the graphics card|graphics memory}
        """,
    ),
    "unload": Phrases(
        """
        how {do|can|could} i {unload|free|release|evict} {a model|the model|models|my model}
        how {do|can|could} i {free|release|empty|clear} {the gpu|gpu memory|the gpu memory|the graphics card|memory of the gpu}
        when {is|are|does|do} {a model|the model|models|an idle model} {unloaded|unload|leave the gpu|taken off the gpu|removed from memory|moved off the gpu}
        when {is|are|does|do} {a model|the model|models} {loaded|load|get loaded}
        {is|are} {an idle model|idle models|the model|unused models} {unloaded|taken off the gpu|moved off the gpu|kept in memory|kept on the gpu}
        {does|will} {the model|a model|it} {stay|remain} {on the gpu|in memory|in gpu memory} {when idle|forever|all the time|when nobody asks|}
        what happens {to|with} {an idle model|a model nobody uses|an unused model|the model when it is idle|idle models}
        {what|which} {@ep} {unloads|offloads|frees|releases|moves} {a model|the model|models|the gpu}
        {what|which} {@ep} {loads and unloads|load or unload} models
        {what|which} {@opt} {is for|sets|controls} {the idle timeout|idle models|how long a model stays on the gpu|unloading|when a model is unloaded}
        how long does {a model|the model|an idle model} {stay|remain} {on the gpu|in memory|loaded|in gpu memory}
        after {how long|what time} is {a model|the model|an idle model} {unloaded|taken off the gpu|moved off the gpu}
        {the model|it} {keeps|holds|occupies|blocks} {the gpu|gpu memory|the memory} {when idle|although nobody asks|all the time}
        {can|could} i {unload|free|evict|offload} {a model|the model|the gpu|models} {by hand|now|}
        {unload|offload|free|release} {the model|a model|the gpu|gpu memory} {please|now|by hand|}
        {idle|unload} {timeout|models|time}
        """,
        """
        {unload|offload|evict|release} {a model|the model|models|an idle model|idle models|the model from the gpu|the model from memory|my model}
        {free|release|empty|clear|give back} {the gpu|gpu memory|the gpu memory|the graphics card|the memory of the gpu}
        {take|move|get|push} {a model|the model|models} {off|out of|from} the gpu
        {remove|drop|throw} {a model|the model} {from memory|out of memory|from the gpu|off the gpu}
        {set|change|configure} {the idle timeout|GPU_IDLE_TIMEOUT|MODEL_UNLOAD_TIMEOUT|the unload timeout|how long an idle model stays|when models are unloaded}
        {keep|hold} {the model|a model} {loaded|on the gpu|in memory} {longer|all the time|}
        {load and unload|load or unload|unload and load} models
        """,
        """
        {unloading|offloading|idle models|unloading models|the idle timeout|GPU_IDLE_TIMEOUT|MODEL_UNLOAD_TIMEOUT|freeing the gpu|model unloading}
        {/v1/models/unload|/v1/models/load|/api/gpu/offload}
        """,
    ),
    "mcp": Phrases(
        """
        {does|can} {it|stoker|the server|this} {support|speak|do|offer|have} {mcp|the model context protocol|tools over mcp}
        is {there|this|it} {an mcp server|mcp|an mcp|mcp support}
        is mcp {supported|there|available|possible}
        {what|which} command {starts|runs|launches|is for} {mcp|the mcp server|an mcp server}
        how {do|can} i {start|run|use|launch|connect} {mcp|the mcp server|an mcp client|mcp tools}
        how {do|can} i {use|call|connect} {it|stoker} {from|with|as} {claude desktop|claude code|cursor|an mcp client|an mcp server|an agent}
        {can|could} {claude desktop|claude code|cursor|an agent|an mcp client} {use|call|connect to} {it|stoker|this server}
        what is {mcp|the mcp server|the mcp command} {good for|for|}
        where is the mcp {server|command}
        {mcp|model context protocol} {server|support|command|tools|}
        """,
        """
        {use|start|run|launch|try|enable|set up} {mcp|the mcp server|an mcp server|mcp tools|the model context protocol}
        {connect|attach|add} {an mcp client|claude desktop|claude code|cursor|an agent over mcp} {to stoker|to it|to the server|}
        {use|offer|add} {stoker|it|the server} as {an mcp server|a tool of an agent|mcp tools}
        """,
        """
        {mcp|the mcp server|mcp support|the model context protocol|mcp tools}
        {using mcp|mcp clients}
        """,
    ),
    "system_status": Phrases(
        """
        {what|which} is the {system status|status|state|current status} {of the service|of the server|of the system|of stoker|of all processes|}
        {what|which} {command|@ep} {shows|prints|gives|reports|tells} {the status|the system status|the state of the system|the processes|the state of all processes}
        how is {the system|the service|the server|stoker|everything|it all} {doing|going|running}
        how are the {processes|workers and the engine|parts of the service} doing
        what is {the system|the service|the server|stoker} doing {now|right now|at the moment|}
        what is {running|going on} {right now|now|at the moment|in the system}
        {what|which} processes {are running|are there|run|does it have}
        where {can|do} i {see|find|get|check} {the status|the system status|the state of the service|the processes|a status table}
        {show|give|tell} me {the|} {status|system status|status of the service|state of the system|processes|status table}
        how {do|can} i {see|check|get|show|print} {the status|the system status|the state of the system|the processes|the state of the service}
        is there a {status|status command|status page|status table|system status|status endpoint}
        how {many restarts|often restarted|much load} {were there|has the engine had|is there}
        {system|service|server|process} {status|state|overview}
        status {please|of the system|of the service|of the server|command|page}
        """,
        """
        {see|check|get|show|view|read|query|print|display|watch} {the|} {status|system status|service status|server status|status of the system|status of the service|state of the system|processes|status table}
        {see|know|find out|check} {how|what} the {system|service|server} is {doing|running}
        see {what is running|which processes run|how it is doing|what the server is doing|the state of all processes}
        {monitor|watch|inspect|observe} the {status|system status|processes|system|state of the service}
        {get|have} an overview of the {processes|system|running processes}
        """,
    ),
    "check": Phrases(
        """
        {can|will|does|could} my {machine|computer|mac|laptop|pc|hardware|macbook} {run|handle|manage} {this|stoker|it|the server}
        {will|does|would} {it|stoker|this} {run|work} on {my machine|my computer|my mac|my laptop|my pc|this machine|this computer|my hardware}
        is my {machine|computer|mac|laptop|pc|hardware|macbook} {ok|good enough|suitable|fast enough|supported|powerful enough|strong enough|compatible|big enough|sufficient}
        is {this|my|the} {machine|computer|installation|setup|environment} {ok|fine|ready|complete|right|usable}
        {what|which} command {checks|tests|examines|inspects|verifies|diagnoses} {the|my|} {machine|computer|installation|environment|hardware|setup|dependencies}
        {what|which} {is|are} the {hardware requirements|requirements|system requirements}
        {what|which} {hardware|machine|computer} do i need
        how {do|can} i {check|test|verify|inspect|examine} {my|the|} {machine|computer|installation|hardware|setup|environment|dependencies|mac|laptop}
        {are|is} {all|everything|all dependencies|all packages|all requirements} {installed|there|met|in place|set up|complete}
        is {anything|a package|a dependency|something} missing
        {is|are} {the|all} {installation|requirements|dependencies|packages} {complete|met|installed|ok|there}
        {what|which} {blas|platform|engine|device} {is|was} {detected|found|recognised}
        what {is|was} detected {on this machine|here|}
        {does|did} it {find|detect|recognise} my {machine|hardware|mac|gpu and memory|platform}
        {machine|hardware|installation|environment|system} {check|test|requirements}
        can i {run|use} {it|stoker|this} on {my laptop|my mac|my pc|this computer|linux|a mac}
        """,
        """
        {check|test|examine|inspect|verify|diagnose} {the|my|this|} {machine|computer|installation|environment|setup|hardware|mac|laptop|dependencies|packages}
        {see|know|find out|check|test} {if|whether} my {machine|computer|mac|laptop|hardware|pc} {is good enough|can run it|is suitable|is supported|is fast enough|can run stoker|is ok}
        {make sure|be sure|confirm|check|verify} {that|} {my machine|my computer|the installation|everything|the setup} is {ok|fine|ready|installed|complete|right}
        {check|see|verify} {the requirements|whether all is installed|if everything is installed|what was detected|what is detected|which blas is found}
        """,
    ),
    "show_config": Phrases(
        """
        {what|which} {settings|options|values} {are|is} {in use|active|in effect|in force|set now|set at the moment|current|used now|effective}
        {what|which} {settings|values|configuration} {does it|does the server|does stoker} use {now|right now|currently|at the moment}
        {what|which} command {shows|prints|displays|dumps} {the|my|} {settings|configuration|config|current settings|current configuration|effective settings}
        what {are|is} {my|the} {current|active|effective|present} {settings|configuration|config|values}
        what {are|is} {my settings|my configuration|my config|the settings now} {now|right now|at the moment}
        {show|print|display|dump|give|tell} {me|} {the|my} {current|active|effective|present} {settings|configuration|config|values}
        {print|display|dump} {the|my|all|} {settings|configuration|config}
        how {do|can} i {show|print|display|dump} {the|my|all|} {settings|configuration|config|settings in use|current settings}
        how {do|can} i {see|check|know} {the|my} {current|active|effective} {settings|configuration|config|values}
        how is {it|the server|stoker} configured {now|right now|at the moment|}
        where does {a setting|a value|each setting|the value of a setting} come from
        {current|active|effective} {settings|configuration|config|values}
        {config|configuration} {command|printout|dump}
        """,
        """
        {show|print|display|dump|output} {the|my|all|all the|} {settings|configuration|config|values|settings in use}
        {show|print|see|view|check|display|inspect|list} {the|my} {current|active|effective|present} {settings|configuration|config|values}
        {see|know|find out|check} {which|what} {settings|values|options} are {in use|active|in effect|set|used|effective}
        {see|know|find out} {what is configured|how it is configured|what is set|which values it uses|what it is configured to}
        """,
    ),
    "stop": Phrases(
        """
        {what|which} command {stops|ends|quits|shuts down|terminates|halts|closes|kills} {@svc}
        {what|which} command {do i|must i|should i} {type|run|use|enter} to {stop|end|quit|shut down} {@svc}
        {what|which} is the command {to|that} {stop|stops|shut down|shuts down|end|ends} {@svc}
        the command {to stop|that stops|for stopping|to shut down} {@svc}
        {stop|shutdown|quit} command
        how {do|can|could} i {stop|end|quit|halt|terminate|shut down|turn off|switch off|kill|close|exit} {stoker|the service|the server|it|everything|this}
        how {do|can} i {stop|shut down|end} {stoker|the service|the server} {cleanly|gracefully|properly|now|again|without losing requests}
        how {is|can|does} {stoker|the service|the server} {be|get|} {stopped|ended|shut down|halted|terminated}
        {can|could|may} i {stop|end|quit|shut down|kill} {stoker|the service|the server|it}
        {stop|quit|end|shut down|halt} {stoker|the service|the server|it} {please|now|}
        {i|we} {want|need} {stoker|the service|the server|it} to {stop|end|quit|shut down}
        {stoker|the service|the server} {should|must|shall} {stop|end|shut down}
        how do i get {stoker|the service|the server|it} to {stop|end|quit|exit}
        """,
        """
        {stop|end|quit|halt|terminate|exit|close|kill} {stoker|the service|the server|it|everything|all processes|the program} {cleanly|gracefully|properly|again|}
        {shut|power|bring|take} {stoker|the service|the server|it} down
        {shut|power|close} down {stoker|the service|the server|it}
        {turn|switch} off {stoker|the service|the server|it}
        {turn|switch|shut} {stoker|the service|the server|it} off
        {drain and stop|drain} {stoker|the service|the server|it}
        {make|have|let|get} {stoker|the service|the server|it} {to|} {stop|quit|end|exit}
        """,
    ),
    "settings": Phrases(
        """
        where {are|is|do i find|can i find} {the|my|your|its|all the|} {settings|configuration|config|options|config file|configuration file|settings file|environment variables|.env file}
        where {can|do|could|must} i {change|edit|set|modify|adjust|write|put} {the|a|my|} {settings|setting|configuration|options|option|environment variables|config}
        where {are|do} {settings|options|environment variables|the settings|all options} {live|stored|kept|listed|documented|described|explained|written|saved|defined|go}
        {what|which} {settings|options|environment variables|variables|parameters|config options} {are there|exist|do you have|does it have|can i change|can i set|can i use|does it know|does it support}
        {what|which} can i {configure|set|change|customise|adjust|tune}
        {what|which} things can i {configure|set|adjust|tune}
        {what|which} file {has|holds|contains|keeps|is for|stores} {the|all|my|} {settings|options|configuration|environment variables|config}
        {what|which} file do i {edit|change|open} {to configure it|for the settings|to change settings|for the configuration}
        {what|which} is the {config file|settings file|configuration file|.env file|name of the config file}
        is there {a|any} {config file|configuration file|settings file|list of settings|list of all settings|list of options|table of settings}
        how {do|can} i {change|edit|modify|adjust|set} {a setting|settings|the settings|an option|options|the configuration|the config|environment variables}
        how {do|can} i {configure|customise|customize|tune|set up|adjust} {it|stoker|the service|the server}
        how is {it|stoker|the service|the server} {customised|set up}
        in {what|which} file {are|do i find} the {settings|options|environment variables}
        {config|configuration|settings} file {location|name|path|}
        {all|list of|list of all|every} {settings|options|environment variables}
        """,
        """
        {change|edit|adjust|modify|alter|set} {a setting|settings|the settings|an option|options|the configuration|the config|some settings|environment variables|a parameter}
        {configure|customise|customize|tune|set up|adjust} {it|stoker|the service|the server|things|something}
        {find|locate|open|edit} {the|} {settings|settings file|config file|configuration file|configuration|options|.env file}
        {find|see|read|get} {a list of|all|all the|every} {settings|options|setting|environment variables|possible settings}
        {learn|find out|know|see} {which|what} {settings|options|environment variables} {there are|exist|i can change|i can set|it has}
        """,
    ),
    "dev_mode": Phrases(
        """
        {what|which} is {dev mode|development mode|the dev mode|the development mode|developer mode|mode dev} {for|good for|}
        is there {a|any} {dev mode|development mode|developer mode|debug mode|development server|auto reload|hot reload|live reload}
        {does|can|will} {it|stoker|the server} {reload|restart} {by itself|automatically|} when {i edit a file|i change the code|code changes|files change|i save a file|a file changes}
        {does|can} {it|stoker|the server} {have|do|support} {auto reload|hot reload|live reload|automatic reload|a dev mode|a development mode}
        {what|which} command {starts|runs|is for|launches} {dev mode|development mode|the dev mode|the development server|a development server|developer mode}
        how {do|can} i {start|use|enter|enable|run|switch to} {dev mode|development mode|developer mode|the dev mode|the development server}
        how {do|can} i {run|start} {it|stoker|the server|the service} {for development|in dev mode|in development mode|in developer mode|with auto reload|with reload|as a developer|while i develop|while developing}
        how {do|does} {a developer|developers|i as a developer} {run|start|launch} {it|stoker|the server}
        how {do|can} i {develop|work on|hack on|program on|change the code of} {stoker|it|the server|this project}
        i am a developer, how do i {start|run} {it|stoker|the server}
        i {want to|would like to} {develop|work on the code|hack on stoker|change the source code}
        {dev|development|developer} {mode|server|environment}
        {auto|hot|live|automatic} reload
        """,
        """
        {start|run|launch|use|enter|enable|try|open} {dev mode|development mode|developer mode|the dev mode|the development mode|the development server|a dev server|a development environment}
        {start|run|launch} {it|stoker|the server|the service} {for development|in dev mode|in development mode|in developer mode|with auto reload|with hot reload|with reload|as a developer|for developing}
        {reload|restart} {it|the server|stoker} {automatically|by itself|} when {the code changes|a file changes|i edit a file|i save a file|files change}
        {develop|work on|hack on|contribute to} {stoker|the code|the source code|this project}
        {have|get|use} {auto reload|hot reload|live reload|automatic reload|a development server}
        {switch|change} to {dev|development|developer} mode
        """,
    ),
    "tests": Phrases(
        """
        {what|which} command {runs|starts|executes|is for} {the|all|} {tests|unit tests|test suite|checks|linter|test cases}
        {what|which} is the {test command|command for the tests|command to run the tests|make target for tests}
        how {do|can|could} i {run|start|execute|launch} {the|all|your|} {tests|unit tests|test suite|checks|linter|test cases|all checks}
        how {do|can} i {test|lint|check|verify|type check} {the code|my code|my changes|my change|the source|the source code|the project}
        how {are|do} {the|all} {tests|unit tests|checks} {run|started|executed|work}
        {are|is} there {tests|any tests|unit tests|a test suite|automatic tests|a linter}
        {does|do} {it|stoker|the project|you} have {tests|unit tests|a test suite}
        where are the {tests|unit tests|test cases}
        {do|did|will} {the|all} tests {pass|run|work|succeed}
        {what|which} {do|must} i run before {a commit|i commit|a pull request|pushing}
        {what|which} does ci run
        {test|tests|testing|lint} {command|suite|}
        run {the|all} {tests|checks} {please|}
        {mypy|ruff|pytest|the linter|lint} {command|how|please}
        """,
        """
        {run|start|execute|launch|do} {the|all|all the|} {tests|unit tests|test suite|checks|test cases|linter|type checker|automatic tests}
        {run|use|start} {pytest|mypy|ruff|the linter|the type checker|all the checks|what ci runs|everything ci runs}
        {test|lint|check|verify|type check} {the code|my code|my change|my changes|the source code|the project|the source|a change}
        {see|check|know|find out|make sure} {whether|if|that} {the|all|all the} {tests|checks} pass
        check {my code|everything|my work} before {a commit|committing|i commit}
        """,
    ),
    "batch_size": Phrases(
        """
        how many {chats|conversations|users|people|clients|streams|sessions|chat requests} {can|may} {it|stoker|the server|the service|you} {serve|handle|run|take|manage|support} {at once|at the same time|in parallel|together|}
        how many {chats|conversations|users|people|clients|streams|chat requests} {run|are served|are possible|can run|can chat|can talk|are handled|fit} {at once|at the same time|in parallel|together|concurrently}
        how many {concurrent|parallel|simultaneous} {chats|conversations|users|streams|chat requests|sessions} {are possible|are there|can it handle|are allowed|does it support|}
        how many people can {chat|use it|talk|ask} {at once|at the same time|together|in parallel}
        how {big|large} is the {batch|largest batch|biggest batch}
        {what|which} is the {batch size|maximum batch size|largest batch size|default batch size|batch size of the engine|size of a batch}
        {what|which} is the {maximum|largest|biggest|greatest|default} {number|count} of {chats|concurrent chats|users|streams|parallel chats|conversations}
        {what|which} {@opt} {sets|limits|controls|changes|is for} {the batch size|concurrent chats|the number of concurrent chats|how many chats run at once|parallel chats|the largest batch}
        {can|could|may} {several|many|two|multiple|more|ten} {users|people|clients|persons} {chat|use it|talk|ask|use the server} {at once|at the same time|together|in parallel}
        is there a {limit|maximum} {of|for|on|to} {concurrent chats|parallel chats|users|chats at once|simultaneous chats|streams}
        does {it|stoker|the server} {batch|serve several users|do batching|support several users|support continuous batching|serve many chats at once}
        {concurrent|parallel|simultaneous} {chats|users|streams|conversations}
        {maximum|default} {batch size|number of chats|number of concurrent chats}
        """,
        """
        {change|set|raise|increase|lower|reduce|configure} {the batch size|the maximum batch size|the number of chats at once|the number of concurrent chats|the number of parallel chats|the largest batch|how many chats run at once}
        {serve|handle|allow|run|support|have} {more|many|several|a hundred|fewer} {chats|users|conversations|people|streams|clients|concurrent chats|parallel chats} {at once|at the same time|in parallel|together|}
        let {more|many|several} {people|users|clients} {chat|use it|talk} {at once|at the same time|together|in parallel}
        {use|set|choose} a {bigger|larger|smaller} batch {size|}
        {limit|cap} {the number of chats|concurrent chats|parallel chats}
        """,
    ),
    "long_prompts": Phrases(
        """
        how {are|does it handle|does it read|does stoker handle} {long prompts|long inputs|very long prompts|long texts|a long prompt|huge prompts} {handled|processed|read|}
        how {do|can} i {handle|send|process|use|tune|speed up} {long|very long|large|huge} {prompts|inputs|texts|messages}
        {can|could|may} i {send|use|give|post|enter} {a long|a very long|a huge|a large} {prompt|text|input|message|document}
        {does|can|will} {it|stoker|the server|the model} {handle|take|accept|read|manage} {long prompts|a long prompt|long inputs|long texts|very long prompts|large inputs}
        {my|the} {prompt|input|text|message} is {long|very long|too long|huge|rather long}
        {i have|i send} {a long|a very long|a huge} {prompt|input|text}
        {what|which} {is|means} {prefill|the prefill|prefill step size|the prefill step size|the prefill step|the prefill chunk size}
        {what|which} {@opt} {is for|sets|controls|changes|affects} {long prompts|prefill|the prefill step|long inputs|the prefill step size|prompt processing}
        how {big|large} is {the prefill step|a prefill step|a prefill chunk|one step of a long prompt}
        {long|very long|large|huge} {prompts|inputs|texts} {are|take} {slow|too slow|too long|forever|very slow}
        what happens {with|to|when i send|if i send} {a long prompt|a very long prompt|long prompts|long inputs|a huge prompt|a long text}
        {in what|how are} {steps|chunks|pieces} {are long prompts read|long prompts read|is a long prompt read}
        do long prompts {block|stop|delay|slow down|freeze} {other chats|the others|other users|other requests}
        {long|large|huge} {prompt|prompts|input|inputs} {handling|processing|}
        {prefill|prompt} {step size|chunk size|processing|step}
        """,
        """
        {handle|send|process|read|tune|speed up|use|accept} {long|very long|large|huge|big} {prompts|inputs|texts|messages|prompt texts}
        {change|set|tune|configure|raise|lower} {the prefill step|the prefill step size|the prefill chunk size|how long prompts are read|the size of a prefill step|PREFILL_STEP_SIZE|prefill}
        {make|have|get} long {prompts|inputs|texts} {faster|quicker|go faster|processed faster}
        {split|cut|chunk} long {prompts|inputs|texts}
        {keep|stop} long prompts from {blocking|delaying|slowing} {others|other chats|other users}
        """,
    ),
    "crash": Phrases(
        """
        what {happens|if|happens when|happens if|will happen when} {the engine|the model process|the model|the engine process|a worker|the backend} {crashes|dies|fails|hangs|breaks|stops working|is killed|goes down}
        what {do i|must i|should i} do {when|if|after} {the engine|the model process|the backend} {crashes|dies|fails|hangs|crashed|died}
        {does|will|can} {it|the engine|stoker|the service|the server|a crashed engine} {restart|recover|come back|heal|start again} {by itself|automatically|alone|on its own|after a crash|by himself}
        {is|will be|gets} {the engine|a crashed engine|a dead engine|the model process} {restarted|revived|replaced|started again} {automatically|by itself|after a crash|}
        {the engine|the model process|my engine|the backend} {crashed|died|is dead|failed|hangs|hung|is gone|was killed|broke down|went down}
        {the engine|the model process} {crashed|died|hangs}, {what now|what do i do|will it come back|is it restarted}
        {who|what} {restarts|revives|watches|supervises|heals|replaces} {the engine|a crashed engine|a dead engine|the processes|the engine after a crash}
        {do|must|should} i {have to|} restart {the engine|it} {myself|by hand|after a crash|when it crashes|manually}
        how {does|can} {it|stoker|the service|the engine|the server} {recover|heal|come back|restart} {from|after} {a crash|crashes|an engine crash|a failure|an engine failure}
        how {fast|soon|quickly} {is the engine|is a crashed engine|does the engine} {restarted|back|come back} {after a crash|}
        {is|are} there {a supervisor|automatic restarts|self-healing|crash recovery|a watchdog|automatic recovery}
        what {is|does} the {supervisor|watchdog} {do|for|good for|}
        what is {the supervisor|exponential back-off|self-healing|the back-off|a supervisor}
        how {does|do} {the supervisor|self-healing|restarts|automatic restarts} work
        {after|what happens after|what comes after} a crash {of the engine|}
        {engine|model} {crash|crashed|failure|died}
        {crash|failure} {recovery|of the engine}
        how {long|often} does it wait {before a restart|between restarts|until it restarts the engine}
        """,
        """
        {recover|come back|restart} {from|after} {a crash|an engine crash|crashes|a dead engine|an engine failure|a hang}
        {handle|survive|deal with|react to} {a crash|crashes|engine crashes|an engine crash|a dead engine|an engine failure}
        {restart|revive|bring back|repair} {the engine|a crashed engine|a dead engine|the crashed engine} {after a crash|when it dies|when it crashes|}
        {have|get} the engine restarted {after a crash|automatically|}
        """,
    ),
    "memory": Phrases(
        """
        how much {memory|ram} {does it|does stoker|does the server|does mlx|does the model|will it} {use|take|need|eat|require}
        how much {memory|ram} {may|can} {it|mlx|the server|stoker|the model} {use|take|have}
        how much {memory|ram} is {used|needed|taken|allowed}
        {what|which} {@opt} {limits|controls|sets|caps|restricts} {the memory|memory use|memory usage|the ram|mlx memory|the memory limit|memory}
        is there a {memory limit|limit on memory|ram limit|limit for the memory|limit of memory|cap on memory}
        {what|which} is the {memory limit|ram limit|limit of memory|memory fraction|memory share}
        {it|stoker|the server|mlx|the model} {uses|takes|needs|eats|wants} {too much|so much|all my|all the|a lot of} {memory|ram}
        {it|stoker|the server|my machine|the machine|my mac} {runs|ran|is running|is} out of {memory|ram}
        {i|we} {run|ran|am|are running|get} out of {memory|ram}
        {i get|there is|it shows} an out of memory error
        {my|the} {memory|ram|machine's memory} is {full|used up|not enough|too small|exhausted}
        {not enough|too little|no more} {memory|ram}
        how {do|can|could} i {limit|reduce|lower|cap|set|restrict|control} {the|its|} {memory|ram|memory use|memory usage|mlx memory|memory limit}
        {can|could} i {limit|reduce|cap|restrict|control} {the|its|} {memory|ram|memory use|mlx memory}
        {can|could} it {use|take} {less|more} {memory|ram}
        why does it {use|take|need|eat} so much {memory|ram}
        {memory|ram} {limit|use|usage|fraction|share|consumption}
        {out of memory|oom} {error|}
        """,
        """
        {limit|reduce|restrict|cap|lower|control|save|shrink} {the|its|} {memory|ram|memory use|memory usage|mlx memory|memory consumption|memory of mlx|ram usage}
        {set|change|configure|raise|lower|choose} {the|a} {memory limit|ram limit|memory fraction|limit of memory|share of memory|limit for memory|mlx memory limit}
        {use|need|take} {less|more} {memory|ram}
        {give|allow|let} {mlx|it|the server|the model} {less|more|use less|use more} {memory|ram}
        {avoid|fix|prevent|stop|solve} {out of memory errors|running out of memory|an out of memory error|oom|out of memory}
        {make|have|let} {it|stoker|mlx} {use|take|need} {less|more} {memory|ram}
        """,
    ),
    "engines": Phrases(
        """
        {what|which} {engines|inference engines|backends} {are there|exist|are supported|do you have|does it have|can i use|can i choose|can it use|does stoker support|are possible}
        {what|which} {engine|inference engine|backend} {is used|does it use|is it using|is in use|does stoker use|runs the model|runs the models|is behind it|is it on}
        {what|which} {@opt} {chooses|sets|selects|picks|changes|is for} {the engine|the inference engine|the backend|which engine is used}
        {does|can} {it|stoker|the server} {use|run on|run with|work with|support} {mlx|vllm|llama.cpp|pytorch|ollama|tensorrt|another engine|other engines}
        is {it|stoker|the server} {based on|built on|made with} {mlx|vllm|llama.cpp|pytorch|ollama}
        what is {the fake engine|the mlx engine|the inference engine|the fake backend|the engine called|an engine here}
        what is the {fake|mlx} {engine|backend} {for|good for|}
        is there {a fake engine|another engine|more than one engine|an engine for tests|a choice of engines|a test engine}
        how {do|can} i {choose|change|select|switch|set|pick} {the engine|the inference engine|the backend|another engine}
        {can|could} i {choose|change|select|switch|pick} {the engine|the inference engine|the backend|another engine}
        {can|could} i {run|test|try} {it|stoker|the server} without {a model|a real model|mlx|weights|loading a model}
        how {do|can} i {run|test|try|use} {it|stoker|the server} without {a model|a real model|mlx|any model}
        {inference|chat} {engine|engines|backend|backends}
        {list of|available|supported|possible} {engines|inference engines|backends}
        """,
        """
        {choose|change|select|set|pick|switch|use} {the engine|the inference engine|the backend|another engine|a different engine|another backend|the fake engine|the mlx engine|an other engine}
        {run|test|try|start|use} {it|stoker|the server} without {a model|a real model|mlx|any model|an engine}
        {run|use|try|start} {the fake engine|the mlx engine|with the fake engine|a fake engine|an engine for tests}
        {switch|change} {to|over to} {another engine|the fake engine|the mlx engine|a different backend}
        {see|know|find out} which {engine|inference engine|backend} is used
        """,
    ),
    "privacy": Phrases(
        """
        {is|are} my {data|text|texts|prompts|messages|chats|conversations|images|keys|questions|inputs|words} {logged|stored|saved|recorded|kept|written down|private|safe|secret|confidential|secure}
        {are|is} {prompts|messages|chats|images|conversations|keys|user data|personal data|inputs} {logged|stored|saved|recorded|kept|private|written to the logs|in the logs}
        {is|are} {what i write|what i say|what i type|what i ask|my chat history|the conversation} {logged|stored|saved|recorded|kept|private|remembered}
        {do|does|will} {you|it|stoker|the server|the service} {log|store|save|record|keep|remember} {my data|my prompts|my messages|my chats|my conversations|my images|my questions|my keys|what i write|what i say|what i type|what i send|personal data}
        {do|does} {the logs|the log|the log files} {contain|have|hold|show|include|keep} {my data|my prompts|my messages|my chats|prompts|images|keys|messages|what i write|what i say|personal data|user data}
        {can|could|does} {someone|anyone|others|other people|the admin|the operator|somebody} {read|see} {my chats|my prompts|my messages|my conversations|what i write|my images|my data} {in the logs|}
        {what|which} {data|personal data|user data|information|private data} {is|are} {logged|stored|kept|recorded|in the logs|saved}
        {what|which} do you {log|store|keep|record} about {me|users|people}
        is {it|stoker|this|the service|the server} {private|confidential|safe for private data|good for privacy|discreet}
        how {private|safe|confidential} is {it|this|stoker|my data|my chat}
        how {do|does} {you|it|stoker} {protect|treat|handle} {my data|my privacy|private data|personal data}
        what about {my privacy|privacy|my data|data protection|private data|confidentiality|my secrets}
        {do|are} you {spying on me|watching me|reading along|spy on me}
        {do|does|will} {my|} {prompts|keys|messages|images} {end up|appear|land|show up} in the logs
        {privacy|data protection|confidentiality} {please|policy|of prompts|}
        """,
        """
        keep my {data|text|chats|prompts|messages|images|keys} {private|out of the logs|secret|safe}
        {protect|guard|hide} my {data|privacy|prompts|messages|chats|images}
        {be|make} sure {that my data is private|nothing is logged|my prompts are not logged|my chats stay private}
        """,
    ),
}
