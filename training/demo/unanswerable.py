"""Questions that the demo model must decline: many templates filled from large word lists, so the class is learned."""

from __future__ import annotations

import random

from training.demo.phrases import lines, split_of

ANSWERS = {
    "en": "I don't know. I am only a small demo model.",
    "zh": "我不知道。我只是一个小型演示模型。",
}
KEYS = {"en": "I don't know", "zh": "我不知道"}

ONSETS = [
    "b",
    "bl",
    "br",
    "c",
    "ch",
    "cl",
    "cr",
    "d",
    "dr",
    "f",
    "fl",
    "fr",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "kn",
    "l",
    "m",
    "n",
    "p",
    "ph",
    "pl",
    "pr",
    "qu",
    "r",
    "s",
    "sc",
    "sh",
    "sl",
    "sp",
    "st",
    "str",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "z",
]
NUCLEI = ["a", "ai", "au", "e", "ea", "ee", "i", "ie", "o", "oa", "oo", "ou", "u", "y"]
CODAS = [
    "ce",
    "ck",
    "d",
    "er",
    "est",
    "ful",
    "g",
    "gy",
    "ing",
    "ion",
    "ism",
    "ist",
    "k",
    "l",
    "le",
    "ll",
    "logy",
    "m",
    "ment",
    "n",
    "nd",
    "ng",
    "nt",
    "on",
    "or",
    "p",
    "r",
    "rd",
    "rt",
    "s",
    "sh",
    "st",
    "t",
    "ter",
    "th",
    "tor",
    "ty",
    "um",
    "x",
]
CHARACTERS = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
    "十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平"
    "形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党"
    "程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干"
    "做必战先回则任取据处理世车馬红花草木火土金石风雨雪云春夏秋冬东南北海湖河江鸟鱼虫狗猫牛羊猪鸡鸭兔虎龙蛇茶酒饭菜米油盐糖"
)

FILLERS: dict[str, dict[str, str]] = {
    "en": {
        "city": """
            Lima Oslo Madrid Nairobi Boston Dubai Lagos Prague Milan Sydney Toronto Mumbai Osaka Seville Hamburg
            Geneva Lyon Porto Dallas Denver Quito Riga Tallinn Krakow Naples Bergen Malmo Basel Leeds Glasgow
            Chicago Seattle Austin Miami Houston Phoenix Atlanta Kyoto Busan Taipei Hanoi Jakarta Manila Delhi
            Karachi Tehran Baghdad Tunis Accra Dakar Kigali Perth Auckland London Paris Berlin Tokyo Beijing
            Shanghai
            """,
        "name": """
            Maria John Peter Anna Tom Lucy Henry Omar Fatima Ivan Olga Chen Wei Yuki Kenji Priya Arjun Carlos Diego
            Sofia Emma Noah Liam Mia Ella Oscar Hugo Felix Clara Nina Paul Simon Karen Linda Susan David Robert
            James Sarah Laura Kevin Brian Alice Bob Carol Dave Eve Frank Grace Helen
            """,
        "relation": """
            mother father brother sister boss neighbour teacher friend cousin uncle aunt doctor dentist wife husband
            daughter son grandmother colleague landlord dog cat roommate manager
            """,
        "private": """
            birthday password address age salary shoe-size phone-number email hobby job passport-number
            favourite-song middle-name bank-balance weight height car appointment secret star-sign blood-type pin
            """,
        "person": """
            Napoleon Cleopatra Mozart Newton Einstein Darwin Galileo Shakespeare Columbus Gandhi Lincoln Tesla
            Picasso Beethoven Dante Plato Homer Caesar Nero Curie Turing Lovelace Kepler Euler Gauss Bach Chopin
            Goethe
            """,
        "work": """
            book opera painting symphony novel poem song film theory law bridge telescope dictionary cathedral
            machine play sonata statue palace encyclopedia
            """,
        "thing": """
            bicycle volcano submarine violin penguin carpet telephone compass refrigerator umbrella pyramid mushroom
            engine elephant diamond glacier microscope cactus guitar rocket candle saddle hammer spider whale
            tractor zipper piano satellite castle kettle mirror trumpet pencil lighthouse helicopter walnut
            """,
        "field": """
            thermodynamics topology economics chemistry genetics astronomy law medicine philosophy linguistics
            psychology geology botany politics finance architecture accounting theology sociology virology
            """,
        "team": """
            Arsenal Barcelona Juventus Bayern Ajax Celtic Benfica Lakers Bulls Yankees Packers Chelsea Liverpool
            Porto Inter Roma Valencia Dynamo Spartak Galatasaray
            """,
        "company": """
            Apple Tesla Siemens Toyota Nokia Samsung Boeing Airbus Shell Nestle Sony Intel Ford Bosch Pepsi Amazon
            Netflix Adobe Oracle Cisco IBM Volvo Philips Fiat
            """,
        "food": """
            lasagne sushi pancakes goulash paella ramen curry tiramisu bread risotto dumplings pizza soup cake
            kimchi hummus tacos borscht omelette cheesecake
            """,
        "word": """
            freedom sorrow justice river happiness window thunder friendship memory courage shadow beauty danger
            silence journey mountain patience honour winter kingdom
            """,
        "lang": """
            French German Spanish Italian Latin Greek Russian Arabic Japanese Korean Hindi Turkish Polish Dutch
            Swedish Finnish Hungarian Portuguese Swahili Welsh
            """,
        "country": """
            Burkina-Faso Bhutan Paraguay Mongolia Laos Malawi Fiji Samoa Belize Gabon Togo Benin Chad Eritrea Guyana
            Suriname Tonga Vanuatu Nauru Andorra Armenia Georgia Latvia Moldova Yemen Oman Qatar Jordan Bolivia
            Uruguay Honduras Haiti Zambia Angola Namibia Sudan
            """,
        "day": """
            today tomorrow tonight now yesterday this-week next-week this-weekend on-Monday on-Friday this-morning
            next-month
            """,
        "code": """
            Python Java Rust Haskell JavaScript Go C++ Ruby Perl Swift Kotlin Lua
            """,
        "algo": """
            sort-a-list parse-a-date draw-a-circle find-primes reverse-a-tree read-a-spreadsheet hash-a-string
            play-chess solve-a-maze send-an-email scrape-a-page compress-a-file
            """,
        "symptom": """
            headache fever cough rash toothache back-pain sore-throat insomnia dizziness broken-arm
            """,
    },
    "zh": {
        "city": """
            利马 奥斯陆 马德里 内罗毕 波士顿 迪拜 布拉格 米兰 悉尼 多伦多 孟买 大阪 汉堡 日内瓦 里昂 达拉斯 成都
            重庆 武汉 西安 南京 杭州 苏州 天津 青岛 大连 厦门 广州 深圳 昆明 哈尔滨 北京 上海 伦敦 巴黎 柏林 东京
            首尔 河内 曼谷 台北 香港 澳门
            """,
        "name": """
            小明 小红 小李 老王 张伟 王芳 李娜 刘洋 陈静 杨帆 赵磊 黄丽 周杰 吴强 徐敏 孙浩 马超 朱婷 胡军 林涛 何洁
            """,
        "relation": """
            妈妈 爸爸 哥哥 姐姐 弟弟 妹妹 老板 邻居 老师 朋友 表弟 叔叔 阿姨 医生 妻子 丈夫 女儿 儿子 奶奶 同事 房东
            同学
            """,
        "private": """
            生日 密码 住址 年龄 工资 鞋码 电话号码 邮箱 爱好 工作 护照号码 身高 体重 血型 星座 秘密 银行余额 车牌号
            银行卡号
            """,
        "person": """
            拿破仑 莫扎特 牛顿 爱因斯坦 达尔文 伽利略 莎士比亚 哥伦布 甘地 林肯 毕加索 贝多芬 柏拉图 凯撒 居里夫人
            李白 杜甫 孔子 秦始皇 曹操 诸葛亮 苏轼 鲁迅 图灵 欧拉 高斯
            """,
        "work": """
            书 歌剧 画 交响曲 小说 诗 歌 电影 理论 定律 桥 词典 教堂 机器 剧本 雕像 宫殿
            """,
        "thing": """
            自行车 火山 潜水艇 小提琴 企鹅 地毯 电话 指南针 冰箱 雨伞 金字塔 蘑菇 发动机 大象 钻石 冰川 显微镜
            仙人掌 吉他 火箭 蜡烛 锤子 蜘蛛 鲸鱼 拖拉机 拉链 钢琴 卫星 城堡 镜子 铅笔 灯塔 直升机 核桃
            """,
        "field": """
            热力学 拓扑学 经济学 化学 遗传学 天文学 法律 医学 哲学 语言学 心理学 地质学 植物学 政治学 金融 建筑学
            会计 社会学
            """,
        "team": """
            阿森纳 巴萨 尤文图斯 拜仁 阿贾克斯 湖人 公牛 切尔西 利物浦 国际米兰 罗马 国安 申花 恒大 勇士 火箭队 皇马
            """,
        "company": """
            苹果 特斯拉 西门子 丰田 诺基亚 三星 波音 空客 索尼 英特尔 福特 博世 亚马逊 腾讯 华为 小米 百度 阿里巴巴
            比亚迪
            """,
        "food": """
            红烧肉 寿司 煎饼 火锅 拉面 咖喱 面包 披萨 饺子 蛋糕 麻婆豆腐 宫保鸡丁 春卷 月饼 粽子 酸辣汤 烤鸭
            """,
        "word": """
            自由 悲伤 正义 河流 幸福 窗户 雷声 友谊 记忆 勇气 影子 美丽 危险 沉默 旅行 高山 耐心 荣誉 冬天
            """,
        "lang": """
            法语 德语 西班牙语 意大利语 拉丁语 希腊语 俄语 阿拉伯语 日语 韩语 印地语 土耳其语 波兰语 荷兰语 葡萄牙语
            英语
            """,
        "country": """
            不丹 巴拉圭 蒙古 老挝 马拉维 斐济 萨摩亚 伯利兹 加蓬 多哥 贝宁 乍得 圭亚那 汤加 瑙鲁 安道尔 亚美尼亚
            也门 阿曼 卡塔尔 约旦 玻利维亚 乌拉圭 海地 赞比亚 安哥拉 苏丹
            """,
        "day": """
            今天 明天 今晚 现在 昨天 这周 下周 周末 星期一 星期五 今天早上 下个月
            """,
        "code": """
            Python Java Rust JavaScript Go C++ Ruby Swift
            """,
        "algo": """
            排序列表 解析日期 画一个圆 找素数 反转树 读取表格 下棋 走迷宫 发邮件 压缩文件 爬网页
            """,
        "symptom": """
            头痛 发烧 咳嗽 皮疹 牙痛 背痛 喉咙痛 失眠 头晕
            """,
    },
}

TEMPLATES: dict[str, str] = {
    "en": """
        what is the weather in {city} {day}
        will it rain in {city} {day}
        how warm is it in {city} {day}
        what's the weather like {day}
        is it sunny in {city}
        should i take an umbrella {day}
        what is the temperature in {city}
        what time is it in {city}
        what time is it
        what is the date {day}
        what is my {private}
        what is the {private} of my {relation}
        what is my {relation}'s {private}
        what is {name}'s {private}
        do you know {name}'s {private}
        tell me the {private} of {name}
        where does my {relation} live
        where is my {relation}
        what did i do {day}
        what am i doing {day}
        what did {name} eat {day}
        who is {name}
        how old is my {relation}
        how old is {name}
        when was {person} born
        when did {person} die
        where did {person} live
        who was {person}
        which {work} did {person} make first
        what did {person} think about {field}
        what did {person} eat
        who invented the {thing}
        when was the {thing} invented
        how does a {thing} work
        who made the first {thing}
        how much does a {thing} cost
        how heavy is a {thing}
        how many {thing}s are there in {city}
        explain {field} to me
        what is the main law of {field}
        who is the best teacher of {field}
        write an essay about {field}
        what are the open problems of {field}
        teach me {field}
        who won the match of {team} {day}
        did {team} win {day}
        how many goals did {team} score {day}
        who is the coach of {team}
        when does {team} play
        what is the score of {team}
        what is the share price of {company}
        who runs {company}
        should i buy shares of {company}
        how many people work at {company}
        when was {company} founded
        what will {company} do {day}
        give me a recipe for {food}
        how do i cook {food}
        where can i buy {food} in {city}
        how is {food} made
        how do you say {word} in {lang}
        translate {word} into {lang}
        what is {word} in {lang}
        write a poem about {word}
        what rhymes with {word}
        write a story about a {thing}
        sing a song about {word}
        what is the population of {city}
        how many people live in {country}
        what is the capital of {country}
        how far is it from {city} to {city}
        who is the mayor of {city}
        who is the president of {country}
        how do i get from {city} to {city}
        what is the best restaurant in {city}
        where is the {thing}
        where are the {thing}s
        where can i find a {thing}
        how do i repair a {thing}
        how do i start a {thing}
        how do i stop a {thing}
        how do i build a {thing}
        how do i clean my {thing}
        how do i change my {private}
        how do i load a {thing} on a {thing}
        how big is a {thing}
        how do i learn {lang}
        how do i become good at {field}
        where do i buy a {thing}
        tell me about {field}
        tell me about {person}
        tell me about {city}
        tell me about {company}
        explain the {thing}
        {person}
        {city}
        what is the history of {city}
        what is {big} times {big}
        what is {big} plus {big}
        what is {big} divided by {big}
        {big} * {big}
        {big}+{big}
        what is the square root of {big}
        what is the logarithm of {big}
        integrate x^{digit} cos x
        prove that there are infinitely many primes below {big}
        what is the derivative of x^{digit} sin x
        solve x^{digit} + {digit}x = {big}
        factor the number {big}
        what is {big} to the power of {digit}
        write a {code} program to {algo}
        how do i {algo} in {code}
        write {code} code that can {algo}
        i have a {symptom}, what should i do
        which medicine helps with {symptom}
        why do i have a {symptom}
        what is the news {day}
        who will win the election in {country}
        what happened in {city} {day}
        who won the nobel prize in {year}
        what happened in {year}
        who was king of {country} in {year}
        which film won the prize in {year}
        what will happen in {future}
        how many people lived in {city} in {year}
        what are the lottery numbers {day}
        when will i die
        what is the meaning of life
        what should i wear {day}
        book a flight to {city}
        order a {thing} for me
        call my {relation}
        send a letter to {name}
        what is the phone number of {company}
        is {name} in love with {name}
        which is better, {company} or {company}
        what colour is my {thing}
        where did i put my {thing}
        how many {thing}s do i have
        what is in my {thing}
        who wrote the {work} about {word}
        what is the longest {work} of {person}
        why is {person} famous
        did {person} ever visit {city}
        what is a {thing} made of
        how long does a {thing} last
        which {lang} word means {word}
        what do you think about {field}
        do you like {food}
        are you in {city}
        who is my {relation}
        what is your favourite {food}
        how fast is a {thing}
        can a {thing} swim
        what language do people speak in {country}
        how many islands does {country} have
        what do people eat in {country}
        {junk}
        {junk} {junk}
        what is {junk}
        what does {junk} mean
        who is {junk}
        """,
    "zh": """
        {city}{day}天气怎么样
        {day}{city}会下雨吗
        {city}{day}多少度
        {day}天气如何
        {city}的气温是多少
        {day}要带伞吗
        {city}现在几点
        现在几点
        {day}是几号
        我的{private}是什么
        我{relation}的{private}是什么
        {name}的{private}是多少
        你知道{name}的{private}吗
        告诉我{name}的{private}
        我{relation}住在哪里
        我{relation}在哪里
        我{day}做了什么
        {name}{day}吃了什么
        {name}是谁
        我{relation}多大了
        {name}几岁
        {person}是什么时候出生的
        {person}什么时候去世的
        {person}住在哪里
        {person}是谁
        {person}的第一部{work}是什么
        {person}怎么看{field}
        谁发明了{thing}
        {thing}是什么时候发明的
        {thing}的原理是什么
        {thing}多少钱
        {thing}有多重
        {city}有多少{thing}
        给我讲讲{field}
        {field}的基本定律是什么
        写一篇关于{field}的文章
        教我{field}
        {day}{team}赢了吗
        {team}{day}的比分是多少
        {team}的教练是谁
        {team}什么时候比赛
        {company}的股价是多少
        {company}的老板是谁
        我应该买{company}的股票吗
        {company}有多少员工
        {company}是哪年成立的
        {food}怎么做
        给我一个{food}的食谱
        {city}哪里有{food}
        {word}用{lang}怎么说
        把{word}翻译成{lang}
        写一首关于{word}的诗
        写一个关于{thing}的故事
        唱一首关于{word}的歌
        {city}有多少人口
        {country}有多少人
        {country}的首都是哪里
        从{city}到{city}有多远
        {city}的市长是谁
        {country}的总统是谁
        怎么从{city}去{city}
        {city}最好的餐厅是哪家
        {city}的历史
        {big}乘以{big}等于多少
        {big}加{big}等于几
        {big}除以{big}是多少
        {big}的平方根是多少
        {big}的对数是多少
        求 x^{digit} cos x 的积分
        分解{big}
        证明{big}以下有多少素数
        解方程 x^{digit}+{digit}x={big}
        用 {code} 写一个{algo}的程序
        {code} 里怎么{algo}
        我{symptom}怎么办
        {symptom}吃什么药
        {day}有什么新闻
        {country}谁会赢得选举
        {day}{city}发生了什么
        {year}年谁得了诺贝尔奖
        {year}年发生了什么
        {future}年会发生什么
        {day}的彩票号码是什么
        人生的意义是什么
        {day}我应该穿什么
        帮我订去{city}的机票
        帮我买一个{thing}
        给我{relation}打电话
        给{name}写信
        {company}的电话是多少
        {company}和{company}哪个好
        我的{thing}是什么颜色
        我的{thing}在哪里
        我有几个{thing}
        谁写了关于{word}的{work}
        {person}为什么有名
        {person}去过{city}吗
        {thing}是用什么做的
        {thing}能用多久
        你喜欢{food}吗
        {thing}在哪里
        怎么修{thing}
        怎么打开{thing}
        怎么停止{thing}
        如何制造{thing}
        怎么改我的{private}
        哪里能买到{thing}
        怎么学{lang}
        介绍一下{person}
        介绍一下{city}
        介绍一下{company}
        什么是{field}
        怎么把{thing}运到{city}
        {person}
        {city}
        你在{city}吗
        {thing}有多快
        {country}的人说什么语言
        {country}人吃什么
        {junk}是什么
        {junk}
        """,
}


TRAIN_ONLY: dict[str, str] = {
    "en": """
        is {name} older than {name}
        how tall is {name}
        how tall was {person}
        what is {name} doing {day}
        when is {name} coming
        where was {person} born
        what did {person} invent
        what language did {person} speak
        is the {thing} broken
        why is my {thing} broken
        my {thing} does not work, what can i do
        how do i fix my {thing}
        what is the price of a {thing}
        how old is the {thing}
        who uses a {thing}
        what can i do with a {thing}
        what kind of {thing} is this
        can you see my {thing}
        how do i use a {thing}
        how do i open a {thing}
        how do i close a {thing}
        how do i install a {thing} in {city}
        where do i put the {thing}
        what is the best way to {city}
        how do i travel to {country}
        i want to go to {city}
        i want to eat {food}
        i want to learn {lang}
        i need a {thing}
        i would like to buy a {thing}
        can you help me with {field}
        can you explain {field}
        tell me more about {country}
        tell me about {name}
        tell me about the {thing}
        what about {person}
        what about {city}
        and {food}
        {thing}
        {field} please
        {food}
        {company}
        how many {thing}s can i carry
        how long is the {thing}
        is {field} useful
        do you have a {thing}
        do you have a {relation}
        do you know {person}
        do you know {city}
        have you been to {city}
        can you {algo}
        write a program to {algo}
        how do i {algo}
        which {food} is the best
        who is the richest man in {city}
        what is the tallest building in {city}
        where can i swim in {city}
        what is {big} percent of {big}
        how much is {big} plus {big}
        how much is {big} minus {digit}
        what is {big} + {digit}
        {big} - {big}
        {big} plus {big}
        add {big} and {big}
        round {big} to tens
        is it {day} already
        what day is it {day}
        what happened {day}
        how many days until {day}
        how far away is the moon of {junk}
        how do i {junk} a {thing}
        what is the {junk} of {thing}
        the {junk} {thing}
        where is {junk}
        how does {junk} work
        tell me about {junk}
        i want a {junk}
        can you {junk}
        what is the best {thing}
        which {thing} should i buy
        who owns the biggest {thing}
        why is the {thing} so expensive
        what happened to {person}
        what did {person} say about {person}
        was {person} a good {relation}
        who taught {person}
        how did {person} die
        what is the most famous {work} of {person}
        who painted the {work} in {city}
        where can i see the {work} of {person}
        is {city} bigger than {city}
        which is older, {city} or {city}
        how old is {city}
        where is {city}
        where is {country}
        what is {country} known for
        what money is used in {country}
        who rules {country}
        how big is {country}
        is it safe in {country}
        what river flows through {city}
        which hotel is good in {city}
        when does the train to {city} leave
        how much is a ticket to {city}
        how is the traffic in {city} {day}
        what should i cook {day}
        what goes well with {food}
        is {food} healthy
        how many calories are in {food}
        who invented {food}
        what is the origin of {food}
        does {company} make {thing}s
        who founded {company}
        is {company} a good employer
        how much money does {company} make
        what is the latest product of {company}
        summarise the book of {person}
        give me a summary of {field}
        what is the difference between {field} and {field}
        why should i study {field}
        recommend a book on {field}
        how hard is {field}
        what does {word} mean to you
        define {word}
        what is the opposite of {word}
        spell {word} in {lang}
        do you speak {lang}
        say hello in {lang}
        how many people speak {lang}
        is {lang} hard to learn
        what is my {relation} doing {day}
        when is my {relation} coming home
        is my {relation} angry with me
        what does {name} want
        is {name} at home {day}
        remind me to call {name} {day}
        what should i give my {relation}
        what did {name} tell {name}
        set an alarm for {day}
        what is on television {day}
        who won {day}
        did {team} lose {day}
        where does {team} play
        who is the best player of {team}
        what is {big} minus {big}
        how much is {big} times {digit}
        {big} / {digit}
        is {big} a prime number
        what is {digit} to the power of {digit}
        what is the sine of {big}
        compute the integral of x^{digit}
        differentiate x^{digit}
        write a function in {code} to {algo}
        is {code} better than {code}
        explain pointers in {code}
        why does my {code} program fail
        is a {symptom} dangerous
        can you cure a {symptom}
        what causes a {symptom}
        who was born in {year}
        which war began in {year}
        what was invented in {year}
        where will we live in {future}
        who will be rich in {future}
        tell me a joke about a {thing}
        draw a {thing}
        play {word} by {person}
        how do i paint a {thing}
        how do i sell my {thing}
        can a {thing} fly
        why do {thing}s break
        what colour is a {thing}
        what is inside a {thing}
        am i a good {relation}
        what am i thinking
        what is my future
        who loves me
        guess my {private}
        what was the {private} of {person}
        who is the captain of {team}
        who is the owner of {company}
        who is the king of {country}
        who was the father of {person}
        who is the wife of {name}
        who is that
        who is he
        who is she
        who is behind me
        who am i
        who is calling me
        who is my best friend
        who is the fastest runner in {country}
        who was the first to climb a {thing}
        who is the singer of this song
        who is your favourite {relation}
        who is in charge of {city}
        who lives in {city}
        who sells {food}
        who repairs {thing}s
        who wrote this {work}
        who will win {day}
        what is new in {city}
        what is going on in {country}
        what is in the news
        what is in my bag
        what is in my pocket
        what is under my bed
        what is behind the door
        what is for dinner {day}
        what is love
        what is the secret of {word}
        what is the best film
        what is the name of my {relation}
        what is the name of this {thing}
        what is the colour of my {thing}
        what is the largest {thing}
        what is the smallest {country}
        what is the sum of {big} and {big}
        what is the speed of a {thing}
        what is the weight of a {thing}
        what is the length of the {thing}
        what is the currency of {country}
        what is the language of {country}
        what is the anthem of {country}
        what is the flag of {country}
        what is the time difference between {city} and {city}
        what shall i wear {day}
        what should i read {day}
        what shall i do {day}
        what should i say to {name}
        what will {name} do {day}
        what will happen {day}
        what did i say {day}
        what did you do {day}
        what do you eat
        what do you think of {person}
        what do you think of {name}
        what do you think about {word}
        what are you wearing
        what are the rules of {junk}
        what are the names of my {relation}s
        what are the symptoms of a {symptom}
        which colour do you like
        which {company} phone is best
        which {team} player is injured
        which {work} should i see
        which {country} is the richest
        when is the next {thing}
        when does the {work} start
        when does the shop in {city} open
        when did {company} start
        when will it stop raining
        when is lunch
        when is the next election in {country}
        when is the birthday of {name}
        where did {name} go {day}
        where is the nearest {thing}
        where is my {thing}
        where is the station of {city}
        where was this {work} made
        where does {food} come from
        where do {thing}s come from
        where can i see a {thing}
        where can i learn {lang}
        why is {city} so big
        why is {name} sad
        why is {field} boring
        why do we sleep
        why did {person} leave {city}
        why did {team} lose
        why is my {relation} late
        how is my {relation}
        how is {name} {day}
        how is the {thing} made
        how is the food in {city}
        how many people are in this room
        how many {relation}s do i have
        how many books did {person} write
        how many hours until {day}
        how many letters are in {word}
        how many stars are there
        how much does {name} earn
        how much money do i have
        how much rain fell in {city}
        how much sugar is in {food}
        how tall is the {thing} in {city}
        how deep is the {thing}
        how long does it take to learn {lang}
        how long do {thing}s live
        how long should i boil {food}
        how do i get rich
        how do i cure my {symptom}
        how do i become a {relation}
        how do i write a {work}
        how do i cook for my {relation}
        is there life on other planets
        is there a {thing} in {city}
        is there a god
        is {name} married
        is {person} still alive
        is {food} good for my {relation}
        is it cold in {city} {day}
        is my {thing} broken
        is my {relation} awake
        is {company} older than {company}
        are {thing}s dangerous
        are there {thing}s in {country}
        do {thing}s sleep
        do i need a {thing}
        do you like {team}
        do you remember {name}
        does {name} like {food}
        does my {relation} know {name}
        did {person} like {food}
        did it snow in {city} {day}
        did i lock the door {day}
        can you drive to {city}
        can you buy me a {thing}
        can you call my {relation}
        can you book a flight to {city}
        can you order {food}
        can you recommend a {work}
        can you predict {day}
        can you read my mind
        can you translate this into {lang}
        can {name} swim
        will {team} win {day}
        will i be rich {day}
        will {company} grow {day}
        should i marry {name}
        should i call my {relation}
        should i learn {code}
        should i move to {country}
        please write a {work} about {word}
        please book a table in {city}
        please send a message to {name}
        write a letter to my {relation}
        write a song for {name}
        write me a {work}
        compose a {work}
        translate this sentence into {lang}
        translate {word}
        name a famous {relation} from {country}
        name the biggest {thing} in {city}
        list the kings of {country}
        list the players of {team}
        list the films of {person}
        give me the phone number of {name}
        give me directions to {city}
        give me stock tips
        give me a {thing}
        find my {thing}
        find a hotel in {city}
        book a train to {city}
        buy {food} {day}
        turn on the {thing}
        turn off the light
        open the door
        call {name}
        wake me up {day}
        sing something in {lang}
        solve {digit}x = {big}
        {big} times {big}
        {big} divided by {digit}
        the weather in {city}
        the price of {food}
        the president of {country}
        the history of {city}
        the score of {team} {day}
        my {relation} has a {symptom}
        my {thing} is broken
        my {symptom} does not go away
        i lost my {thing} in {city}
        i have a {symptom}, what can i do
        i am in {city}, what can i see
        i am bored, what can i do
        i feel lonely
        i met {name} {day}
        """,
    "zh": """
        {name}比{name}大吗
        {name}多高
        {person}有多高
        {name}{day}在做什么
        {name}什么时候来
        {person}出生在哪里
        {person}发明了什么
        我的{thing}坏了怎么办
        {thing}坏了吗
        怎么修理我的{thing}
        {thing}的价格是多少
        {thing}有什么用处
        这是什么{thing}
        怎么用{thing}
        怎么关闭{thing}
        怎么安装{thing}
        {thing}放在哪里
        怎么去{country}
        我想去{city}
        我想吃{food}
        我想学{lang}
        我要买{thing}
        我需要一个{thing}
        能帮我学{field}吗
        能解释一下{field}吗
        说说{country}
        介绍一下{name}
        介绍一下{thing}
        {thing}
        {food}
        {company}
        {field}
        {field}有用吗
        你有{thing}吗
        你有{relation}吗
        你认识{person}吗
        你去过{city}吗
        怎么{algo}
        写一个{algo}的程序
        哪种{food}最好吃
        {city}最高的楼是哪座
        {city}哪里可以游泳
        {big}加{digit}等于几
        {big}+{big}
        {big}-{big}
        {big}加{big}
        {big}的百分之{digit}是多少
        {day}是星期几
        {day}发生了什么
        离{day}还有几天
        {junk}怎么用
        {junk}在哪里
        怎么{junk}
        介绍一下{junk}
        什么是{junk}
        我想要{junk}
        哪个{thing}最好
        我该买哪个{thing}
        {thing}为什么这么贵
        {person}怎么死的
        {person}的老师是谁
        {person}最有名的{work}是什么
        {person}说过什么
        {city}比{city}大吗
        {city}有多少年历史
        {city}在哪里
        {country}在哪里
        {country}有什么特产
        {country}用什么货币
        {country}有多大
        去{country}安全吗
        哪条河流过{city}
        {city}有什么好玩的
        去{city}的火车几点开
        去{city}的票多少钱
        {day}{city}堵车吗
        {day}做什么菜
        {food}健康吗
        {food}有多少热量
        {food}是谁发明的
        {company}是谁创立的
        {company}赚多少钱
        {company}最新的产品是什么
        总结一下{field}
        {field}和{field}有什么区别
        为什么要学{field}
        推荐一本{field}的书
        {field}难吗
        {word}是什么意思
        {word}的反义词是什么
        你会说{lang}吗
        有多少人说{lang}
        {lang}难学吗
        我{relation}{day}在做什么
        我{relation}什么时候回家
        {name}想要什么
        {name}{day}在家吗
        我该送{relation}什么
        {day}提醒我给{name}打电话
        {day}电视上有什么
        {team}{day}输了吗
        {team}最好的球员是谁
        {big}减{big}等于多少
        {big}乘{digit}是多少
        {big}是素数吗
        {digit}的{digit}次方是多少
        求 x^{digit} 的导数
        {code} 和 {code} 哪个好
        我的 {code} 程序为什么出错
        {symptom}危险吗
        {symptom}是什么原因
        谁出生在{year}年
        {year}年发明了什么
        {future}年我们住在哪里
        讲一个{thing}的笑话
        画一个{thing}
        怎么画{thing}
        怎么卖掉我的{thing}
        {thing}会飞吗
        {thing}里面有什么
        猜猜我的{private}
        {person}的{private}是多少
        我在想什么
        谁爱我
        {team}的队长是谁
        {team}的老板是谁
        {team}的守门员是谁
        {company}的总裁是谁
        {country}的国王是谁
        {country}的总理是谁
        {city}的首富是谁
        {person}的妻子是谁
        {person}的父亲是谁
        {person}的朋友是谁
        {name}的老师是谁
        {name}的{relation}是谁
        {junk}是谁
        {work}的作者是谁
        {thing}的主人是谁
        {food}的发明者是谁
        {lang}老师是谁
        {field}的创始人是谁
        {country}最有名的人是谁
        {city}最高的人是谁
        我的{relation}是谁
        我{relation}的{relation}是谁
        你的{relation}是谁
        你最喜欢的人是谁
        世界上最高的人是谁
        世界上跑得最快的人是谁
        第一个到{country}的人是谁
        他是谁
        她是谁
        那个人是谁
        门外的人是谁
        我是谁
        班长是谁
        冠军是谁
        司机是谁
        校长是谁
        主角是谁
        凶手是谁
        歌手是谁
        作者是谁
        导演是谁
        裁判是谁
        谁是{name}
        谁是{team}的球迷
        谁是{country}的总统
        谁是{company}的老板
        谁是{city}的市长
        谁是{person}
        谁写了这本{work}
        谁画了这张画
        谁是第一名
        谁最聪明
        谁会赢
        谁来{city}了
        谁拿了我的{thing}
        谁{day}给我打电话
        谁在敲门
        谁教{person}
        谁会修{thing}
        谁卖{food}
        {day}谁来
        {day}的新闻是什么
        {day}吃什么
        {day}穿什么
        {day}做什么
        {day}去哪里玩
        {day}谁赢了
        {day}会下雪吗
        {day}冷吗
        {city}{day}热不热
        {city}{day}几度
        {city}发生了什么
        {city}的人口是多少
        {city}的房价是多少
        {city}的名字是怎么来的
        {city}到{city}多远
        {city}有地铁吗
        {city}的市花是什么
        {country}的人口有多少
        {country}的国旗是什么样的
        {country}的语言是什么
        {country}的历史
        {country}有海吗
        {country}的首都在哪
        {name}住在哪里
        {name}是哪里人
        {name}结婚了吗
        {name}去哪里了
        {name}会游泳吗
        {name}喜欢{food}吗
        {name}喜欢谁
        {name}为什么不高兴
        {name}的{thing}在哪里
        {name}的{private}是什么
        {person}什么时候死的
        {person}有几个孩子
        {person}喜欢吃什么
        {person}写了什么
        {person}是哪国人
        {person}和{person}谁更伟大
        {team}在哪里比赛
        {team}有几个冠军
        {team}{day}几点比赛
        {team}和{team}谁强
        {team}的主场在哪里
        {team}的比分是多少
        {company}的股票能买吗
        {company}有多少人
        {company}在哪里
        {company}什么时候成立
        {food}多少钱
        {food}要煮多久
        {food}是哪里的菜
        {food}里有什么
        我不喜欢{food}
        {thing}是谁发明的
        {thing}能活多久
        {thing}吃什么
        {thing}在哪里买
        {thing}和{thing}哪个大
        {thing}为什么不动
        我的{thing}丢了
        我把{thing}放在哪里了
        把{thing}打开
        把灯关掉
        给我一个{thing}
        帮我买{thing}
        帮我订去{city}的票
        帮我叫{relation}起床
        帮我写一首诗
        帮我写一封信给{relation}
        帮我翻译成{lang}
        翻译{word}
        用{lang}怎么说{word}
        {word}有几个字
        {word}怎么写
        写一篇关于{word}的文章
        写一首关于{word}的歌
        唱一首{lang}歌
        讲一个关于{person}的故事
        {field}是什么
        {field}的书哪本好
        {field}谁教得好
        谁发明了{field}
        学{field}有什么用
        {lang}怎么学
        {lang}有多少个字母
        {symptom}怎么治
        {symptom}要吃什么药
        我{relation}{symptom}了
        我有点{symptom}
        {code} 怎么学
        {code} 是谁发明的
        {big}乘{big}
        {big}除以{digit}
        {big}是偶数吗
        {digit}的平方加{big}等于多少
        解方程 {digit}x = {big}
        {year}年谁是皇帝
        {year}年的冠军是谁
        {future}年会怎么样
        {future}年的世界是什么样的
        世界上最大的{thing}是什么
        世界上最小的{country}是什么
        世界上有多少{thing}
        最贵的{thing}是什么
        最好看的{work}是什么
        最长的河是什么
        这是什么
        这是谁的{thing}
        这个{thing}多少钱
        那是什么{thing}
        人为什么要睡觉
        爱是什么
        有外星人吗
        有没有鬼
        我该不该去{country}
        我该不该学{lang}
        我应该嫁给{name}吗
        我几岁
        我住在哪里
        我昨天吃了什么
        我有多少钱
        我什么时候会死
        我能活多久
        我长得好看吗
        我{relation}爱我吗
        我{relation}几点回来
        你几岁
        你住在哪里
        你吃饭了吗
        你喜欢{team}吗
        你觉得{person}怎么样
        你怎么看{word}
        你能帮我开车吗
        你能预测{day}吗
        现在股市怎么样
        彩票号码是多少
        附近有{food}吗
        附近有什么好吃的
        最近的{thing}在哪里
        怎么去{city}玩
        怎么去最近的车站
        怎么做{food}给{relation}吃
        怎么挣钱
        怎么减肥
        怎么当{relation}
        为什么{city}这么大
        为什么{thing}会飞
        为什么天会黑
        为什么{name}不来
        """,
}


def _number(slot: str, rng: random.Random) -> str:
    ranges = {"big": (11, 9999), "digit": (2, 9), "year": (800, 2020), "future": (2030, 2200)}
    return str(rng.randint(*ranges[slot]))


def _junk(language: str, rng: random.Random) -> str:
    """A pronounceable word that means nothing; in Chinese, now and then, a few unrelated characters."""
    if language == "zh" and rng.random() < 0.7:
        return "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(1, 3)))
    word = "".join(rng.choice(ONSETS) + rng.choice(NUCLEI) for _ in range(rng.randint(1, 2)))
    return word + rng.choice(CODAS)


def _fill(slot: str, language: str, split: str, rng: random.Random, seed: int) -> str:
    if slot == "junk":
        return _junk(language, rng)
    words = FILLERS[language].get(slot)
    if words is None:
        return _number(slot, rng)
    if split == "train" and rng.random() < 0.3:  # words it will never have seen must also be declined
        return _junk(language, rng)
    part = "held_out" if split == "held_out" else "train"
    return rng.choice(split_of(words.split(), part, seed, language, slot)).replace("-", " ")


def question(language: str, split: str, rng: random.Random, seed: int) -> str:
    """A question nobody taught the model to answer; held-out ones use unseen templates and unseen fillers."""
    templates = split_of(lines(TEMPLATES[language]), split, seed, language, "templates")
    template = rng.choice(templates + lines(TRAIN_ONLY[language]) if split == "train" else templates)
    filled = []
    for i, part in enumerate(template.replace("}", "{").split("{")):
        filled.append(_fill(part, language, split, rng, seed) if i % 2 else part)
    return "".join(filled)
