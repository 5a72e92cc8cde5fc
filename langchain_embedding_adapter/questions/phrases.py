"""Phrases that give away a question, a model's chatter and talk of "the passage", in the languages that models write.

Patterns alone, for folded text: no capitals, no accents, no typographic variants (``filters`` folds). A phrase
that has an innocent reading as well is not among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator


def _any(words: str) -> str:
    """A pattern for any of the words; `_` in a word stands for a space."""
    return f"(?:{'|'.join(words.split())})".replace("_", " ")


MARKED = re.compile(r"[?؟⸮](?:\W{0,9}$|\s)|[α-ω];\W{0,9}$|^\W*¿|՞|(?:[吗嗎呢か까]|나요|가요|는지|[는인]가)\W{0,9}$")
REQUESTS = re.compile(
    r"(?:^\W*|[,.] )(?:please |bitte |por favor,? )?(?:(?:tell|show|help|teach) me|i wonder|"
    r"(?:list|name|find|give) (?:the|all|some|an?|two|three|me|examples|ways|reasons)|"
    r"(?:i(?:'d| would)? (?:want|need|like)|i'm trying) to (?:know|understand|learn)|"
    + _any("""
        explain describe define discuss compare summari[sz]e analy[sz]e identify evaluate assess outline calculate
        explica explicame explique expliquez decris decrivez descreva dime
        erklare?n? beschreibe?n? nenne zeige? vergleiche definiere dis-moi dites-moi compara comparez describa
        spiega spiegami descrivi dimmi confronta diga-me beschrijf noem opisz wyjasnij podaj porownaj
        объясни объясните опиши опишите расскажи расскажите forklara beskriv acıkla acıklayın اشرح صف
    """)
    + r")\b|^请?(?:解释|说明|描述|介绍|告诉我|请)|(?:教えて|説明して)(?:ください|下さい)?\W{0,9}$"
    r"|(?:설명해|알려)\s*\w*\W{0,9}$|(?:बताइए|समझाइए|बताओ)\W{0,9}$"
)
OPENERS = re.compile(
    r"^\W*(?:(?:o que|qu'est-ce|est-ce qu[e']|c(?:os)?'e|por que|"
    + _any("""
        what what's how why whose whom does did czy warum wieso weshalb wie wozu woran womit wodurch
        pourquoi comment quel quelle quels quelles cual cuales cuanto cuanta cuantos cuantas
        perche quanto quanta quanti quante qual quais waarom hoe hoeveel dlaczego jak ile
        почему как зачем сколько чем varfor hur nasil nasıl neden nicin hvordan hvorfor miksi miten
        ما ماذا كيف لماذا متى أين هل كم
    """)
    + r")\b)"
)
# These open questions and other clauses ("When a list is copied, …"), so a full stop counts against them.
DOUBTFUL_OPENERS = re.compile(
    r"^\W*"
    + _any("""
        when where who which can could is are am do will would should may must has have were isn't aren't doesn't
        was wer wo wann wem wen welche welcher welches welchen wohin woher kann konnen ist sind darf muss gibt hat
        que qui quand ou quoi combien peut peut-on puis-je faut-il
        quien quienes como cuando donde puede puedo es che chi cosa quando dove come quale quali posso puo
        quem onde wat wanneer waar welke kan mag co kto kiedy gdzie ktory ktora ktore jaki jaka jakie
        что кто когда где куда какой какая какое какие можно ли vad vem nar vilken vilket vilka
        ne kim hangi kac nerede hvad hvem mika missa milloin من أي
    """)
    + r"\b(?! (?:not|note|fun)\b)|(?:nedir|nelerdir|kimdir|m[iıu]|m[iıu]d[iıu]r)\W{0,9}$"
    r"|什[么麼]|怎[么麼样]|如何|[为為]何|哪|[谁誰]|多少|是否|能否|几[个种时天年]"
    r"|何時|いつ|どこ|なぜ|どう|どの|誰|とは$|무엇|어떻게|왜 |언제|क्या|कैसे|क्यों|कब|कहा|कौन|कितन"
    r"|อะไร|อย่างไร|ยังไง|ทำไม|เมื่อไร|เมื่อไหร่|ที่ไหน|ใคร|ไหม|หรือไม่"
)
STOPPED = re.compile(r"[.!:,。।]\W{0,9}$")


# What a model says to its user: refusals, introductions, offers. Nobody asks a search for it, mark or no mark.
CHATTER = re.compile(
    r"^\W*(?:"
    # English: refusals, introductions, offers
    r"(?:i'm |i am )?(?:very |so |really )?sorry\b|(?:i|we) apologi[sz]e|my apologies|as an? (?:ai\b|language model)|"
    r"i(?:'m| am)? (?:cannot|can't|can not|couldn't|won't|unable to|not able to) (?:help|assist|provide|answer|"
    r"generate|create|write|fulfil|comply|continue|see a)|let me know|feel free|thank you|thanks\b|note:|"
    r"(?:sure|certainly|of course|absolutely|okay|ok|great|alright|no problem)(?: thing)?(?:[,!.]|$)|(?:i )?hope th|"
    r"here(?:'s| is| are) |below (?:is|are) |(?:the )?following (?:is|are) |what follows |"
    r"(?:would|do) you (?:want|like|prefer|need) (?:me\b|to (?:know|see|hear) more|"
    r"(?:more|any|another|other|further|additional) (?:\w+ )?(?:question|help|example))|"
    r"(?:shall|should|may|can|could) (?:i|we) (?:(?:continue|proceed|go on)\W{0,9}$|"
    r"(?:write|generate|create|provide|make|add)\b.*(?:questions?|for you|ones?)\b)|"
    r"(?:can|may) i (?:help|assist) you|how (?:can|may|else can|could) i (?:help|assist)(?: you\b|\W{0,9}$)|"
    r"(?:is|was) there anything else\b|what (?:else )?would you like (?:me|to know)|"
    r"do you have (?:any|other|more) .*question|(?:does|is|are) (?:this|that|these)(?: questions?)? "
    r"(?:help|helpful|ok|okay|good|what you (?:need|want))\W{0,9}$|"
    r"(?:can|could|would) you (?:please )?(?:provide|share|give|paste|send) (?:me |us )?(?:with )?"
    r"(?:(?:the|your|an?) (?:\w+ )?(?:passage|text|document)\b|"
    r"(?:some |a bit )?more (?:details|information|context)\W{0,9}$)|"
    # German, French
    r"(?:es )?tut mir leid|ich kann\b.*(?:helfen|beantworten|erstellen)|als (?:ki|sprachmodell)\b|hier (?:sind|ist) |"
    r"soll ich (?:noch|weiter|fortfahren|dir|ihnen)|kann ich (?:ihnen|dir) (?:sonst |noch |weiter|bei|helfen)|"
    r"(?:mochten sie|mochtest du|willst du),? (?:dass ich|noch|weitere)|(?:je suis )?desole|voici |"
    r"en tant qu'(?:ia|assistant|modele)|je ne peux pas (?:vous |t')?(?:aider|repondre|generer|fournir)|"
    r"puis-je vous aider|dois-je continuer|"
    r"(?:voulez-vous|souhaitez-vous|veux-tu|aimeriez-vous) (?:que je|d'autres|plus)|"
    # Spanish, Portuguese, Italian
    r"lo (?:siento|lamento)|no puedo (?:ayudar|responder|generar)|aqui (?:tienes|estan|estao|esta) |mi dispiace|ecco |"
    r"como (?:un |uma? )?(?:ia|modelo de lengu?a\w+|asistente|assistente)\b|desculpe|sinto muito|"
    r"(?:quieres|quiere|deseas|desea|te gustaria|le gustaria) que |puedo ayudar(?:te|le)|posso (?:aiutar[tlv]|ajuda-l)|"
    r"(?:voce )?(?:quer|gostaria|deseja)(?: de)? que eu|(?:vuoi|vuole|desidera|desideri) che |"
    # Dutch, Russian, Polish, Turkish, Arabic, Hindi
    r"het spijt me|hier zijn |(?:wil je|wilt u) dat ik|(?:zal|kan) ik (?:u|je|nog|doorgaan)\b|"
    r"извините|к сожалению|вот |я не могу (?:помочь|ответить|созда)|как (?:ии|языковая модель),|"
    r"(?:хотите|хочешь),? чтобы я|przepraszam|(?:czy )?(?:chcesz|chcialbys),? (?:zebym|abym)|uzgunum|عذرا|آسف|माफ|क्षमा|"
    # Chinese, Japanese, Korean
    r"(?:非常|很|十分)?抱歉|[对對]不起|作[为為](?:一[个個])?(?:ai|人工智能|语言模型)|"
    r"我[无不][法能](?:帮|回答|提供|生成|协助)|好的[,。!]|(?:这里|以下|下面)(?:是|有)|"
    r"[您你]?还?(?:需要|希望|想要|要)我(?:再|继续|帮|写|提供|生成|为)|还有(?:什么|其他).*(?:帮|问题吗)|"
    r"有什么(?:我)?可以帮|申し訳|ごめん|aiとして|(?:以下|次)(?:は|が|の質問)|はい、|(?:他|ほか)に.*(?:質問|お手伝い)|"
    r"続け(?:ましょう|ます)か|죄송|아래는|다음은)"
)

# About asking itself, wherever it stands.
ABOUT_ASKING = re.compile(
    r"\b(?:good|better|best|perfect|following|previous|\d-choice) (?:question|answer)s? (?:to|for|about|would|that)\b|"
    r"\b(?:question|answer) (?:about|to|for) (?:the|this) (?:passage|question|text)\b|\bto this question\b"
)

_NOT_A_PASSAGE = (  # "the article 5", "the passage from Dover", "this document object"
    r"\b(?! ?\d|-| (?:of|from|to|between|through|across|file|field|box|editor|type|object|model|manager|menu|node|"
    r"class|window|area|size|style|format|header|number|id|string|variable|length|switch\w*|processor|input|database|store|"
    r"loader|embedding|layer|message)\b)"
)
_NO_PASSAGE_ABROAD = r"(?! (?:von|vom|zwischen|des|der|entre|de|du|del|da|do|tra|tussen|van)\b)"
_GIVEN = "(?:(?:given|provided|above|following|preceding|previous|supplied|same) )*"
_LANGUAGES = [  # according to, the, this, passage, mentioned in, tells (English: below)
    (
        "according_to based_(?:solely_|only_)?on as_per",
        "the",
        "this",
        "passage texts? documents? article excerpt paragraph snippet section context author source material extract",
        "(?:mention|describ|stat|discuss|explain|present|provid|outlin|highlight|list|inferr|conclud)ed_(?:in|by|from) "
        "given_in referred_to_in",
        "$^",
    ),
    (
        "laut gemass zufolge basierend_auf ^nach",
        "de[mrns] das die",
        "diese[mrns]? (?:im|de[mrn])_(?:obigen|vorliegenden|gegebenen)",
        "text(?:es|abschnitt|auszug|stelle)? passage artikel dokument(?:e?s)? auszug abschnitt absatz autors? kontext",
        "$^",
        "sagt beschreibt erklart erwahnt nennt behandelt meint",
    ),
    (
        "selon d'apres suivant",
        "l[ea] l'",
        "ce cette cet",
        "texte passage article document extrait paragraphe section contexte auteur",
        "(?:mentionne|decrit|evoque|cite|indique|explique|presente)e?s?_dans",
        "dit mentionne decrit explique indique",
    ),
    (
        "segun de_acuerdo_(?:con|a)",
        "el la l[oa]s",
        "est[ea]",
        "texto pasaje articulo documento fragmento extracto parrafo seccion contexto autor",
        "(?:mencionan?|mencionad[oa]s?|describen?|descrit[oa]s?|citad[oa]s?|explica)_en",
        "dice menciona describe explica indica",
    ),
    (
        "secondo in_base_a(?:l|lla|ll')? stando_a(?:l|lla|ll')?",
        "il lo la l'",
        "quest[oa]",
        "testo brano passo passaggio articolo documento estratto paragrafo sezione contesto autore",
        "(?:menzionat|descritt|citat|indicat|spiegat)[oaie]_(?:in|ne(?:l|lla|ll'))",
        "dice menziona descrive spiega afferma",
    ),
    (
        "segundo de_acordo_com conforme",
        "o a",
        "n?es[st][ea]",
        "texto passagem trecho artigo documento excerto paragrafo secao contexto autor",
        "(?:mencionad|descrit|citad|indicad|explicad)[oa]s?_(?:em|n[oa])",
        "diz menciona descreve explica afirma",
    ),
    (
        "volgens op_basis_van",
        "de het",
        "deze dit",
        "tekst passage artikel document fragment alinea sectie context auteur schrijver",
        "(?:genoemd|vermeld|beschreven|besproken|uitgelegd)_in",
        "zegt beschrijft vermeldt noemt",
    ),
    (
        "согласно",
        "этому данному",
        "в_(?:этом|данном)",
        "текст[уе] отрывк[уе] статье документ[уе] абзац[уе]",
        "(?:упомина|говори|сказа|описа)\\w*_в",
        "$^",
    ),
]
_OWN_WAYS = [
    r"\b(?:in|from) the (?:excerpt|article)" + _NOT_A_PASSAGE,
    r"\bthe passage" + _NOT_A_PASSAGE,
    r"\bthe (?:author|researcher)s?(?:'s?)? (?:\w+ )?(?:intent|intend|aim|opinion|view|point|goal|find|found|argument)",
    r"^in the (?:text|document|section|paragraph|context)(?= ?,)",
    r"\bthe (?:above|provided|preceding|given) (?:passage|text|excerpt|article|context|document)" + _NOT_A_PASSAGE,
    r"\b(?:passage|text|document|article|excerpt|section|paragraph|context) (?:above|below)\b(?! (?:the|an?|my|it)\b)",
    r"\bthe (?:passage|text|document|article|excerpt|paragraph|author|section) (?:say|state|mention|describe|explain|"
    r"discuss|suggest|impl[yi]|claim|argue|conclude|recommend|refer|tell|talk|note|provide|identif|highlight|"
    r"emphasi[sz]e|indicate|believe|think|mean|about|give)(?:e?s)?\b",
    r"\b(?:main|central|key|primary|overall) \w+ (?:of|in) the (?:passage|text|excerpt|article|section|document)\b",
    r"\b(?:author|writer|title|purpose|tone) of the (?:passage|text|excerpt)\b",
    r"\bim (?:text|artikel|auszug|abschnitt|dokument)(?: \w+)* (?:erwahnt|beschrieben|genannt|erklart|behandelt)",
    r"\bworum geht es (?:im|in (?:dem|der|diese[mr])) (?:text|artikel|abschnitt|passage)",
    r"\bв (?:тексте|отрывке|статье) (?:упом|говор|сказ|опис)",
    r"(?:根据|按照|依据|基于)(?:这[段篇]|该|本|上述|以上|上面的?|所给的?|给定的?|提供的?|此)?"
    r"(?:段?文[章本字段档]|段落|短文|原文|上文|文中|材料|内容|上下文)(?![类大颜格编件])",
    r"(?:这[段篇个]|上述|该)(?:段?文(?:章|本(?![框文编])|字|段)|段落|短文|材料|段话)|(?<![中英日法德俄韩论正全作课散古语])文中",
    r"(?<![文日基版成样])本文(?:中|的|讲|介绍|提|描|所|主要)|上文(?:中|提|所|的)|作者(?:认为|提到|指出|的观点)",
    r"(?:この|上記の|以下の|次の)(?:文(?![字法化脈型体])|テキスト(?![フエボ])|記事|段落|節|抜粋|パッセージ|文脈)",
    r"(?:文章|テキスト|本文|記事|文中|パッセージ|抜粋)(?:によ[るれ]|に基づ|で(?:は)?述べ|で言及|で説明|に書かれ|の筆者)|本文中",
    r"(?:筆者|著者)は.*(?:述べ|主張|考え)",
]


def _mentions() -> Iterator[str]:
    """Patterns for all ways to speak of the passage."""
    for according, the, this, passage, told_in, tells in _LANGUAGES:
        passage = _any(passage) + _NOT_A_PASSAGE + _NO_PASSAGE_ABROAD * (the != "the")
        pointed = rf"(?:{_any(this)} ?|{_any(the)} ?)?{_GIVEN}{passage}"
        yield rf"(?:\b|^)(?:{_any(according)}|{_any(told_in)}) ?{pointed}"
        yield rf"\b{_any(this)} {passage}|\b{_any(tells)} {_any(f'{the} {this}')} ?{passage}"
    yield from _OWN_WAYS


MENTION = re.compile("|".join(_mentions()))
