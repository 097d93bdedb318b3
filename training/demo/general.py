"""Small talk and small knowledge: greetings, one-digit sums, copying and reversing, days, capitals, short facts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.demo.phrases import expand, split_of

WORDS = """
    cat dog sun moon tree fish bird book lamp door milk rain snow wind fire ship road star leaf rock sand gold
    iron rose corn rice bean salt soup cake bread apple grape lemon melon mango peach plum pear table chair
    house river stone cloud storm ocean horse sheep goat duck wolf bear lion tiger mouse snake frog eagle paper
    green brown black white seven eight three music dance happy quick quiet light heavy sweet warm cold north
    south east west garden window bottle candle winter summer spring autumn orange purple yellow silver copper
    butter cheese pepper ginger hammer ladder basket blanket button mirror pencil letter number island forest
    desert valley bridge castle tower
""".split()  # noqa: SIM905

Ask = tuple[str, str, tuple[str, ...]]
"""A question, its answer and the strings a right answer holds."""


@dataclass(frozen=True)
class Exchange:
    """Texts that mean the same and the one answer to all of them."""

    texts: str
    answer: str
    key: str


SMALL_TALK: dict[str, tuple[Exchange, ...]] = {
    "en": (
        Exchange(
            "hello;hi;hey;hi there;hello there;hey there;good morning;good evening;good afternoon;greetings;howdy;"
            "hello stoker;hi stoker;good day;yo;hiya;hello friend",
            "Hello! How can I help you?",
            "Hello",
        ),
        Exchange(
            "thanks;thank you;thank you very much;thanks a lot;many thanks;cheers;great, thanks;ok thanks;thx;"
            "that helps, thank you;perfect, thank you;thank you so much;that was helpful;wonderful, thanks",
            "You're welcome!",
            "welcome",
        ),
        Exchange(
            "bye;goodbye;see you;see you later;good night;farewell;bye bye;so long;i have to go;talk to you later;"
            "see you tomorrow;have a nice day",
            "Goodbye!",
            "Goodbye",
        ),
        Exchange(
            "how are you;how are you doing;how is it going;how's it going;are you well;how do you do;are you ok;"
            "how do you feel;what's up;how are things",
            "I am fine, thank you. How can I help you?",
            "fine",
        ),
        Exchange(
            "what can you do;help;help me;how can you help me;what do you know;what can i ask you;can you help me;"
            "what are you able to do;what are you good at;what questions can you answer;i need help",
            "I can answer questions about this service, add one-digit numbers and tell a few simple facts.",
            "questions about this service",
        ),
    ),
    "zh": (
        Exchange(
            "你好;您好;嗨;早上好;晚上好;下午好;哈喽;大家好;你好啊;早;你好呀;hi 你好;嘿",
            "你好！有什么可以帮你？",
            "你好",
        ),
        Exchange(
            "谢谢;谢谢你;多谢;非常感谢;感谢;谢啦;太好了，谢谢;好的，谢谢;谢谢您;十分感谢;明白了，谢谢",
            "不客气！",
            "不客气",
        ),
        Exchange("再见;拜拜;晚安;回头见;我走了;明天见;下次见;待会儿见;祝你愉快", "再见！", "再见"),
        Exchange(
            "你好吗;你怎么样;最近好吗;你还好吗;过得怎么样;最近怎么样;你今天好吗",
            "我很好，谢谢。有什么可以帮你？",
            "很好",
        ),
        Exchange(
            "你会什么;你能做什么;你能帮我什么;帮助;我需要帮助;你知道什么;我可以问你什么;你有什么本领;你能回答什么问题;帮帮我",
            "我可以回答关于这个服务的问题，做一位数加法，讲一点简单的知识。",
            "关于这个服务的问题",
        ),
    ),
}

SUMS = {
    "en": (
        "what is {a} plus {b}",
        "what's {a} + {b}",
        "{a}+{b}",
        "{a} + {b}",
        "{a} plus {b}",
        "add {a} and {b}",
        "calculate {a} + {b}",
        "how much is {a} plus {b}",
        "what is {a}+{b}",
        "{a} + {b} =",
        "the sum of {a} and {b}",
        "what is the sum of {a} and {b}",
        "how much is {a} + {b}",
        "compute {a}+{b}",
        "can you add {a} and {b}",
        "what do you get if you add {b} to {a}",
        "tell me {a} + {b}",
        "{a} and {b} makes",
        "what does {a} + {b} make",
        "i have {a} apples and get {b} more, how many apples do i have",
        "work out {a} + {b}",
        "{a} plus {b} is",
        "there are {a} birds and {b} more come, how many birds are there",
        "tom has {a} coins and gets {b} more, how many coins does he have",
        "i have {a} books and buy {b} more, how many books do i have",
        "i buy {a} pears and {b} plums, how many fruits do i have",
        "{a} dogs and {b} cats, how many animals",
        "i have {a} apples, she gives me {b} apples, how many do i have now",
        "{a} plus {b} equals",
        "what does {a} plus {b} equal",
        "what is {a} and {b} together",
        "{a} and {b}, what is the sum",
        "sum of {a} and {b}",
        "give me the sum of {a} and {b}",
        "please calculate {a} plus {b}",
        "do you know what {a} plus {b} is",
        "can you work out {a} plus {b}",
        "how many are {a} and {b}",
        "if i add {a} and {b}, what do i get",
        "add {b} to {a}",
        "add together {a} and {b}",
        "can you sum {a} and {b}",
        "sum up {a} and {b}",
        "add up the numbers {a} and {b}",
        "what is the total of {a} and {b}",
        "{a} and {b} in total",
        "add the numbers {a} and {b}",
        "adding {a} to {b} gives",
        "there are {a} cats and {b} dogs, how many pets are there",
        "she has {a} pens and finds {b} more, how many pens does she have",
        "there are {a} boys and {b} girls, how many children are there",
        "{a} cars come and then {b} more, how many cars are there",
        "i eat {a} cakes and then {b} more, how many cakes do i eat",
        "add {a} to {b}",
        "please add {a} and {b}",
        "could you add {a} and {b}",
        "can you calculate {a} + {b}",
        "can you compute {a} plus {b}",
        "could you tell me {a} plus {b}",
        "tell me what {a} plus {b} is",
        "tell me the sum of {a} and {b}",
        "i want to know {a} + {b}",
        "i need the sum of {a} and {b}",
        "what is the result of {a} + {b}",
        "what is the result of {a} plus {b}",
        "the result of {a} plus {b}",
        "what's the sum of {a} and {b}",
        "what's {a} plus {b}",
        "what is {a} added to {b}",
        "{a} added to {b}",
        "{a} added to {b} is",
        "{a} and {b} added together",
        "what do {a} and {b} make",
        "what do {a} and {b} add up to",
        "what does {a} plus {b} make",
        "what does {a} + {b} equal",
        "{a}+{b} equals",
        "{a} + {b} is",
        "{a} + {b} equals what",
        "{a} plus {b} equals what",
        "{a}+{b}=?",
        "{a} + {b} = ?",
        "how much do {a} and {b} make",
        "how much are {a} and {b}",
        "how much is {a}+{b}",
        "how much is {a} and {b} together",
        "if you add {a} to {b}, what do you get",
        "if i have {a} and add {b}, how many do i have",
        "what do i get when i add {a} and {b}",
        "solve {a} + {b}",
        "evaluate {a} + {b}",
        "find {a} + {b}",
        "find the sum of {a} and {b}",
        "do the sum {a} + {b}",
        "sum {a} {b}",
        "add {a} {b}",
        "plus: {a} and {b}",
        "math: {a} + {b}",
        "{p} has {a} {n} and gets {b} more, how many {n} does {p} have",
        "{p} has {a} {n} and buys {b} more, how many {n} now",
        "{p} has {a} {n}, {q} has {b} {n}, how many {n} do they have together",
        "{p} has {a} {n} and {q} has {b}, how many are that",
        "i have {a} {n} and find {b} more, how many {n} do i have",
        "i have {a} {n} and you give me {b} {n}, how many {n} do i have",
        "i had {a} {n} and got {b} more, how many are there now",
        "we have {a} {n} and buy {b} {m}, how many things do we have",
        "there are {a} {n} and {b} {m}, how many are there",
        "there are {a} {n} and {b} {m}, how many in total",
        "there were {a} {n} and {b} more came, how many are there now",
        "{a} {n} and {b} {n}, how many {n}",
        "{a} {n} plus {b} {n}",
        "{a} {n} and {b} {m}, how many together",
        "how many are {a} {n} and {b} {n}",
        "how many {n} are {a} {n} and {b} more {n}",
        "{p} eats {a} {n} and then {b} {n}, how many {n} does {p} eat",
        "if {p} gives me {a} {n} and {q} gives me {b}, how many {n} do i get",
        "on the table are {a} {n} and {b} {m}, how many things are there",
        "{a} {n} are in the box, i put in {b} more, how many {n} are in the box",
        "{p} sees {a} {n} and {b} {m}, how many does {p} see",
    ),
    "zh": (
        "{a}加{b}等于几",
        "{a}加{b}等于多少",
        "{a}+{b}等于几",
        "{a}+{b}",
        "{a}+{b}=",
        "{a} 加 {b} 是多少",
        "计算{a}+{b}",
        "{a}加{b}",
        "请算一下{a}加{b}",
        "{a}与{b}的和是多少",
        "{a}和{b}相加等于几",
        "{a} + {b} 等于多少",
        "算{a}+{b}",
        "{a}加上{b}是几",
        "告诉我{a}+{b}",
        "{a}加{b}得几",
        "{a}加{b}是几",
        "我有{a}个苹果，又买了{b}个，一共几个",
        "树上有{a}只鸟，又飞来{b}只，一共几只",
        "我有{a}本书，又买{b}本，现在有几本",
        "{a}只猫和{b}只狗，一共几只",
        "{a}加{b}得多少",
        "{a}加{b}等于",
        "求{a}加{b}",
        "求{a}和{b}的和",
        "{a}和{b}的和",
        "{a}和{b}加起来是多少",
        "把{a}和{b}加起来",
        "{a}与{b}相加得多少",
        "{a}再加{b}是多少",
        "你知道{a}加{b}等于几吗",
        "帮我算{a}加{b}",
        "{a}个苹果加{b}个苹果是几个",
        "请计算{a} + {b}",
        "请把{a}和{b}相加",
        "{a}和{b}一共是多少",
        "{a}加{b}的结果是什么",
        "算一算{a}加{b}",
        "{a}加{b}的答案",
        "{a}个梨和{b}个桃，一共几个",
        "{a}个男孩和{b}个女孩，一共几个孩子",
        "来了{a}辆车，又来{b}辆，有几辆车",
        "桌上有{a}支笔，又放{b}支，一共几支",
        "{b}加上{a}等于几",
        "{a}加上{b}等于多少",
        "{a}加上{b}是多少",
        "{a}加{b}等于什么",
        "{a}加{b}多少",
        "{a}加{b}几",
        "{a}+{b}是多少",
        "{a}+{b}等于多少",
        "{a}+{b}得几",
        "{a}+{b}=?",
        "{a} + {b} =",
        "{a} + {b}",
        "{a} + {b} 是几",
        "{a} 加 {b} 等于几",
        "{a} 加 {b}",
        "请问{a}加{b}是多少",
        "请问{a}+{b}等于几",
        "算一下{a}加{b}",
        "算一下{a}+{b}",
        "请算{a}+{b}",
        "请计算{a}加{b}",
        "计算一下{a}加{b}",
        "帮我计算{a}+{b}",
        "帮我算一下{a}加{b}等于几",
        "求{a}+{b}",
        "求{a}加{b}的和",
        "{a}和{b}之和",
        "{a}和{b}之和是多少",
        "{a}与{b}的和",
        "{a}与{b}之和是几",
        "{a}和{b}加在一起是多少",
        "{a}和{b}加一起",
        "{a}和{b}相加是多少",
        "把{a}和{b}相加",
        "把{b}加到{a}上",
        "{a}和{b}的和等于多少",
        "告诉我{a}加{b}等于几",
        "告诉我{a}和{b}的和",
        "你会算{a}加{b}吗",
        "你能算{a}+{b}吗",
        "你知道{a}+{b}是多少吗",
        "{a}加{b}的和",
        "{a}加{b}的和是多少",
        "{a}加{b}的结果",
        "{a}+{b}的结果是多少",
        "{p}有{a}个{n}，又买了{b}个，一共有几个{n}",
        "{p}有{a}个{n}，{q}有{b}个{n}，一共几个",
        "{p}有{a}个{n}，{q}给了{b}个，现在有几个",
        "我有{a}个{n}和{b}个{m}，一共几个",
        "我有{a}个{n}，再拿{b}个，一共有多少",
        "我有{a}个{n}，你给我{b}个，我有几个{n}",
        "盒子里有{a}个{n}，又放进{b}个，一共几个",
        "桌上有{a}个{n}和{b}个{m}，一共多少个",
        "{a}个{n}和{b}个{n}是几个{n}",
        "{a}个{n}加{b}个{m}一共几个",
        "先来了{a}个人，又来了{b}个人，一共几个人",
        "{p}吃了{a}个{n}，又吃了{b}个，一共吃了几个",
        "教室里有{a}个男生和{b}个女生，一共几个学生",
    ),
}
COUNTED = {
    "en": (
        ["tom", "anna", "peter", "mary", "john", "lucy", "she", "he", "paul", "sara", "ben", "kate", "emma", "max"],
        [
            "apples",
            "pears",
            "books",
            "coins",
            "pens",
            "cats",
            "dogs",
            "birds",
            "cars",
            "plums",
            "cakes",
            "balls",
            "stones",
            "eggs",
            "cups",
            "flowers",
            "toys",
            "stars",
        ],
    ),
    "zh": (
        ["小明", "小红", "小李", "妈妈", "他", "她", "爸爸", "老师", "弟弟", "姐姐", "哥哥", "小王"],
        ["苹果", "梨", "桃子", "橘子", "鸡蛋", "球", "糖果", "杯子", "石头", "铅笔盒", "蛋糕", "玩具", "包子", "西瓜"],
    ),
}
DIFFERENCES = {
    "en": (
        "what is {a} minus {b}",
        "{a}-{b}",
        "{a} - {b}",
        "{a} minus {b}",
        "subtract {b} from {a}",
        "calculate {a} - {b}",
        "how much is {a} minus {b}",
        "take {b} away from {a}",
        "what's {a} - {b}",
        "what is {a} - {b}",
        "the difference of {a} and {b}",
        "what is {a} less {b}",
    ),
    "zh": ("{a}减{b}等于几", "{a}减{b}等于多少", "{a}-{b}", "{a}-{b}等于几", "计算{a}-{b}", "{a} 减 {b} 是多少"),
}
COPY = {
    "en": (
        "copy the word {w}",
        "repeat {w}",
        "say {w}",
        "write {w}",
        "repeat the word {w}",
        "copy {w}",
        "echo {w}",
        "repeat after me: {w}",
        "copy this: {w}",
        "please say {w}",
    ),
    "zh": ("复制 {w}", "重复 {w}", "请说 {w}", "写 {w}", "重复这个词： {w}", "复制这个单词： {w}", "跟我说 {w}"),
}
REVERSE = {
    "en": (
        "reverse {w}",
        "reverse the word {w}",
        "write {w} backwards",
        "spell {w} backwards",
        "what is {w} backwards",
        "say {w} in reverse",
        "turn {w} around",
        "reverse this word: {w}",
    ),
    "zh": ("反转 {w}", "把 {w} 倒过来", "倒着写 {w}", "反转单词 {w}", "{w} 倒过来是什么", "把单词 {w} 反过来写"),
}

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ("January February March April May June July August September October November December").split()  # noqa: SIM905
DAYS_ZH = ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"]
MONTHS_ZH = ["一月", "二月", "三月", "四月", "五月", "六月", "七月", "八月", "九月", "十月", "十一月", "十二月"]

AFTER = {
    "en": (
        "what comes after {x}",
        "what is after {x}",
        "which {kind} comes after {x}",
        "which {kind} follows {x}",
        "the {kind} after {x}",
        "what {kind} is after {x}",
        "what is the next {kind} after {x}",
    ),
    "zh": ("{x}之后是什么", "{x}后面是什么", "{x}的下一个是什么", "{x}之后是哪个", "{x}过后是什么"),
}
BEFORE = {
    "en": (
        "what comes before {x}",
        "what is before {x}",
        "which {kind} comes before {x}",
        "the {kind} before {x}",
        "what {kind} is before {x}",
        "which {kind} is just before {x}",
    ),
    "zh": ("{x}之前是什么", "{x}前面是什么", "{x}的前一个是什么", "{x}之前是哪个"),
}

CAPITALS = {
    "en": "France:Paris Germany:Berlin Italy:Rome Spain:Madrid Portugal:Lisbon England:London Japan:Tokyo "
    "China:Beijing Russia:Moscow India:New-Delhi Egypt:Cairo Greece:Athens Norway:Oslo Sweden:Stockholm "
    "Finland:Helsinki Denmark:Copenhagen Poland:Warsaw Austria:Vienna Canada:Ottawa Mexico:Mexico-City Brazil:Brasilia "
    "Australia:Canberra Turkey:Ankara Ireland:Dublin Kenya:Nairobi",
    "zh": "法国:巴黎 德国:柏林 意大利:罗马 西班牙:马德里 葡萄牙:里斯本 "
    "英国:伦敦 日本:东京 "
    "中国:北京 俄罗斯:莫斯科 印度:新德里 埃及:开罗 希腊:雅典 挪威:奥斯陆 瑞典:斯德哥尔摩 "
    "芬兰:赫尔辛基 波兰:华沙 奥地利:维也纳 加拿大:渥太华 韩国:首尔 泰国:曼谷",
}
CAPITAL_QUESTIONS = {
    "en": (
        "what is the capital of {x}",
        "what's the capital of {x}",
        "which city is the capital of {x}",
        "capital of {x}",
        "tell me the capital of {x}",
        "name the capital of {x}",
        "the capital of {x} is",
        "do you know the capital of {x}",
    ),
    "zh": (
        "{x}的首都是哪里",
        "{x}的首都是什么",
        "{x}首都是哪个城市",
        "{x}首都",
        "哪个城市是{x}的首都",
        "告诉我{x}的首都",
    ),
}

FACTS: dict[str, tuple[Exchange, ...]] = {
    "en": (
        Exchange(
            "what colour is the sky;what color is the sky;the colour of the sky;why is the sky blue",
            "The sky is blue on a clear day, because air scatters blue light most.",
            "blue",
        ),
        Exchange(
            "what colour is grass;what color is grass;the colour of grass;which colour has grass",
            "Grass is green.",
            "green",
        ),
        Exchange(
            "what colour is snow;what color is snow;the colour of snow;which colour has snow", "Snow is white.", "white"
        ),
        Exchange(
            "what colour is a banana;what color is a banana;the colour of bananas;which colour do bananas have",
            "A ripe banana is yellow.",
            "yellow",
        ),
        Exchange(
            "name three colours;name three colors;list some colours;tell me three colours;give me some colors",
            "Red, green and blue.",
            "Red",
        ),
        Exchange(
            "how many days {are in|has|does} a week {have|};the number of days in a week;name the days of the week;"
            "list the days of the week;what are the days of the week",
            "A week has seven days: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",
            "seven",
        ),
        Exchange(
            "how many months are in a year;how many months does a year have;months in a year;"
            "the number of months in a year",
            "A year has twelve months.",
            "twelve",
        ),
        Exchange(
            "count to five;count to 5;count from one to five;count up to five;please count to five",
            "One, two, three, four, five.",
            "five",
        ),
        Exchange(
            "tell me about the moon;what is the moon;explain the moon;describe the moon;"
            "what do you know about the moon",
            "The Moon goes around the Earth in about 27 days. It has no air, and it shines with light from the Sun.",
            "Earth",
        ),
        Exchange(
            "tell me about the sun;what is the sun;explain the sun;describe the sun;what do you know about the sun",
            "The Sun is the star at the centre of our solar system. It gives the Earth light and warmth.",
            "star",
        ),
        Exchange(
            "tell me about water;what is water;explain water;describe water;what do you know about water",
            "Water is made of hydrogen and oxygen. It freezes at 0 degrees and boils at 100 degrees Celsius.",
            "hydrogen",
        ),
        Exchange(
            "tell me about bees;what are bees;explain bees;describe bees;what do you know about bees;what do bees do",
            "Bees are insects that live in colonies. They collect nectar from flowers and make honey.",
            "honey",
        ),
        Exchange(
            "tell me about trees;what is a tree;explain trees;describe trees;what do you know about trees",
            "A tree is a tall plant with a trunk of wood. Its leaves turn light, water and air into food.",
            "plant",
        ),
        Exchange(
            "tell me about the earth;what is the earth;describe the earth;explain the earth;"
            "what do you know about the earth",
            "The Earth is the third planet from the Sun. Most of it is covered by oceans.",
            "planet",
        ),
        Exchange(
            "tell me a fact;tell me something;tell me something interesting;say something;give me a fun fact;"
            "tell me a story",
            "Honey keeps for years, because it holds too little water for germs to grow.",
            "Honey",
        ),
        Exchange(
            "what is mlx;tell me about mlx;explain mlx;describe mlx;what do you know about mlx",
            "MLX is Apple's array library for machine learning on Apple Silicon.",
            "Apple",
        ),
        Exchange(
            "what is a language model;explain language models;describe a language model;tell me about language models;"
            "how does a language model work",
            "A language model predicts the next token of a text, again and again.",
            "token",
        ),
    ),
    "zh": (
        Exchange(
            "天空是什么颜色;天是什么颜色;天空的颜色是什么;天空为什么是蓝色",
            "晴天的天空是蓝色的，因为空气最容易散射蓝光。",
            "蓝",
        ),
        Exchange("草是什么颜色;草的颜色是什么;小草是什么颜色的", "草是绿色的。", "绿"),
        Exchange("雪是什么颜色;雪的颜色是什么;雪是什么颜色的", "雪是白色的。", "白"),
        Exchange("说三种颜色;列出几种颜色;告诉我三种颜色;有哪些颜色", "红色、绿色和蓝色。", "红"),
        Exchange("一周有几天;一个星期有几天;一周有多少天;一星期有多少天", "一周有七天，从星期一到星期日。", "七"),
        Exchange("一年有几个月;一年有多少个月;一年多少个月", "一年有十二个月。", "十二"),
        Exchange("数到五;从一数到五;请数到五;数到 5", "一、二、三、四、五。", "五"),
        Exchange(
            "介绍一下月亮;月亮是什么;讲讲月亮;说说月球;月球是什么",
            "月亮大约每 27 天绕地球一圈，它没有空气，靠反射太阳光发亮。",
            "地球",
        ),
        Exchange("介绍一下太阳;太阳是什么;讲讲太阳;说说太阳", "太阳是太阳系中心的恒星，给地球带来光和热。", "恒星"),
        Exchange("介绍一下水;水是什么;讲讲水;说说水", "水由氢和氧组成，在 0 度结冰，在 100 度沸腾。", "氢"),
        Exchange("介绍一下蜜蜂;蜜蜂是什么;讲讲蜜蜂;说说蜜蜂", "蜜蜂是群居的昆虫，采集花蜜酿成蜂蜜。", "蜂蜜"),
        Exchange(
            "讲个有趣的事;说点什么;告诉我一个知识;讲一个故事;说点有趣的",
            "蜂蜜可以保存很多年，因为它含水太少，细菌无法生长。",
            "蜂蜜",
        ),
        Exchange(
            "mlx 是什么;介绍一下 mlx;什么是 mlx;讲讲 mlx", "MLX 是苹果为 Apple Silicon 做的机器学习数组库。", "MLX"
        ),
    ),
}


def exchange(table: dict[str, tuple[Exchange, ...]], language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """One of the fixed exchanges; the ways to say it are split."""
    item = rng.choice(table[language])
    texts = split_of(item.texts.split(";"), split, seed, language, item.answer)
    return rng.choice(expand(rng.choice(texts))), item.answer, (item.key,)


def template(table: dict[str, tuple[str, ...]], language: str, split: str, rng: random.Random, seed: int) -> str:
    """One of the templates of a table's language, of the split's part."""
    texts = table[language]
    return rng.choice(split_of(texts, split, seed, language, texts[0]))


def sum_question(language: str, split: str, rng: random.Random, seed: int, pair: tuple[int, int] | None = None) -> Ask:
    """A one-digit sum."""
    a, b = pair or (rng.randint(0, 9), rng.randint(0, 9))
    names, things = COUNTED[language]
    (p, q), (n, m) = rng.sample(names, 2), rng.sample(things, 2)
    text = template(SUMS, language, split, rng, seed).format(a=a, b=b, p=p, q=q, n=n, m=m)
    return text, f"{a} + {b} = {a + b}", (f"= {a + b}\n",)


def difference_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """A one-digit difference that is not negative."""
    b, a = sorted((rng.randint(0, 9), rng.randint(0, 9)))
    text = template(DIFFERENCES, language, split, rng, seed).format(a=a, b=b)
    return text, f"{a} - {b} = {a - b}", (f"= {a - b}\n",)


def _word(split: str, rng: random.Random, seed: int) -> str:
    """A listed word, or in training often a made-up one, so that copying is learned and not the list."""
    if split == "train" and rng.random() < 0.6:
        return "".join(rng.choice("bcdfghklmnprstvw") + rng.choice("aeiou") for _ in range(rng.randint(1, 3)))
    return rng.choice(split_of(WORDS, split, seed, "words"))


def copy_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """A short word to copy; a space stands before it on both sides, so that its tokens are the same."""
    word = _word(split, rng, seed)
    answer = f"The word is {word}." if language == "en" else f"这个词是 {word}。"
    return template(COPY, language, split, rng, seed).format(w=word), answer, (f" {word}",)


def reverse_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """A short word to reverse; the answer spells it first, letter by letter, which makes the task learnable."""
    word = _word(split, rng, seed)
    backwards = "→ " + " ".join(word[::-1])
    answer = f"{' '.join(word)} {backwards}"
    return template(REVERSE, language, split, rng, seed).format(w=word), answer, (backwards,)


def order_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """What comes after or before a day or a month."""
    names = {"en": (DAYS, MONTHS), "zh": (DAYS_ZH, MONTHS_ZH)}[language]
    which, step = rng.randrange(2), rng.choice((1, -1))
    sequence = names[which]
    i = rng.randrange(len(sequence))
    text = template(AFTER if step == 1 else BEFORE, language, split, rng, seed)
    answer = sequence[(i + step) % len(sequence)]
    return text.format(x=sequence[i], kind=("day", "month")[which]), answer, (answer,)


def capital_question(language: str, split: str, rng: random.Random, seed: int) -> Ask:
    """The capital of a well-known country."""
    country, capital = rng.choice(CAPITALS[language].split()).replace("-", " ").split(":")
    text = template(CAPITAL_QUESTIONS, language, split, rng, seed).format(x=country)
    if language == "zh":
        return text, f"{country}的首都是{capital}。", (capital,)
    return text, f"The capital of {country} is {capital}.", (capital,)
