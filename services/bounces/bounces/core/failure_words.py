"""Words by which notices of mail systems are known, in the languages that they are sent in.

Each table is a pattern for one purpose. They only recognise a notice and tell a delay from a
failure; what a failure means is judged by `posthouse.answers`.
"""

# ruff: noqa: RUF001 - the words are of many scripts

import re

_FLAGS = re.IGNORECASE


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), _FLAGS)


DAEMON = _any_of(
    r"mailer[-_. ]?daemon", r"\bpost[-_ ]?master\b", r"mail deliver\w* (?:sub)?system",
    r"\bmail delivery\b", r"mail system\b", r"system administrator", r"mail administrator",
    r"\bnon-?deliver", r"\bndr\b", r"\bmmdf\b", r"mail[-_. ]?deliver", r"microsoft exchange",
)  # fmt: skip
"""In From: a mail system writes, not a person."""

FAILURE_SUBJECT = _any_of(
    r"undeliver(?:ed|able|y)", r"non[- ]?deliver", r"returned (?:mail|to sender|message|e-?mail)",
    r"failure notice", r"fail(?:ed|ure)\b.{0,30}\b(?:mail|message|deliver)",
    r"(?:mail|message|delivery|transport|nondelivery)\b.{0,30}\b(?:fail(?:ed|ure)?|error|problem)",
    r"delivery (?:status )?(?:notification|report)", r"not delivered",
    r"could ?n[o']t be delivered",
    r"delivery (?:has )?(?:fail|delay|incomplete)", r"error sending your mail",
    r"warning: (?:message|could not send)", r"delayed mail", r"mail delivery (?:delay|warning)",
    r"message status - undeliv", r"\bunzustellbar|nicht zustellbar|zustellung\w* fehlgeschl",
    r"non remis|(?:e|é)chec de (?:la )?(?:remise|distrib|livr)|message non d",
    r"no (?:se )?(?:ha )?(?:podido )?entreg|error de entrega|mensaje devuelto|correo devuelto",
    r"n[ãa]o entregue|falha na entrega|mensagem devolvida|mancat[ao] (?:consegna|recapito)",
    r"onbestelbaar|niet bezorgd|olevererbar|kan ikke leveres|niedostarcz|nie dostarczon",
    r"недоставлен|не доставлен|возврат|ошибка доставки|nedoru[čc]iteln",
    r"teslim edilemedi|k[ée]zbes[íi]thetetlen",
    r"配信不能|送信(?:エラー|できません|失敗)|未達|不達|エラーメール|配信エラー",
    r"退信|投递失败|發送失敗|发送失败|無法傳遞|无法投递|未送达|系統退信",
    r"반송|전송\s?실패|발송\s?실패|배달\s?실패",
)  # fmt: skip
"""In Subject."""

FAILURE_TEXT = _any_of(
    r"(?:could|can|was|were|has|have|is|be|did|do)(?: ?no?t|n.t)(?: \S+){0,4}?"
    r" (?:deliver|sent\b|reach|receive|accepted|found|relay|forward)",
    r"unable to (?:be )?(?:deliver|send|relay|forward|receive)", r"\bundeliver",
    r"deliver\w*\b.{0,60}\b(?:fail|aborted|impossible|error|problem|unsuccessful)",
    r"fail\w* (?:to deliver|permanently|recipient|address|\d+ attempts)", r"fail\w* \d+ attempts",
    r"(?:permanent|fatal|delivery|unrecoverable) (?:fatal )?(?:error|failure|problem)",
    r"mail (?:error|fail)", r"non-?deliver", r"not delivered", r"trouble delivering",
    r"(?:rejected|refused) (?:by|your|the|to accept)", r"returned to (?:the )?sender",
    r"error (?:occurred )?(?:while|was detected while|when|delivering|sending|sending your)",
    r"error(?: \w+){0,3} (?:delivering|sending)", r"no (?:valid|such) (?:recipient|user|mailbox)",
    r"(?:invalid|unknown|illegal) (?:final |local )?(?:\w+ )?(?:user|recipient|address|mailbox)",
    r"(?:user|recipient|mailbox|address|account)(?: \S+){0,2} (?:unknown|not exist|not found|full)",
    r"doesn't exist|does not exist|may not exist|did not (?:exactly )?match",
    r"(?:over|exceed\w*|disk) quota|exceeds? (?:the |its )?(?:allowed|size|maximum|limit)",
    r"delevery|exceeded the (?:local )?limit",
    r"nicht (?:\S+ ){0,5}?(?:zugestellt|zustell|gesendet|(?:ü|ue)bermittelt|ausgeliefert)",
    r"unzustellbar|fehlgeschlagen|empf(?:ä|ae)nger (?:\S+ )?unbekannt",
    r"n.a (?:pas )?(?:\S+ )?pu (?:\S+ ){0,3}?[êe]tre|non (?:remis|d[ée]livr|distrib)",
    r"[ée]chec de|n.existe pas|n.ont pas (?:\S+ )?(?:reçu|pu)|impossible d.",
    r"no (?:\S+ ){0,3}?(?:pudo|puede|podido|fue|ha sido)(?: \S+){0,3}? (?:entreg|envi|remit)",
    r"imposible entregar|no existe|n[ãa]o (?:\S+ ){0,3}?(?:entreg|envia|existe)",
    r"falha na entrega|impossibile (?:\S+ ){0,3}?(?:consegn|recapit|inviar)",
    r"non (?:\S+ ){0,4}?(?:consegn|recapit|esiste)", r"kon(?:den)? niet|niet (?:worden )?bezorgd",
    r"nie (?:\S+ ){0,5}?(?:dostarcz|dor[ęe]cz|istnieje)|niedostarcz",
    r"не (?:\S+ ){0,5}?(?:доставл|отправ|существ)|недоставл|невозможно доставить|не найден",
    r"(?:kunde|kan) inte|(?:kunne|kan) ikke|ei voi(?:tu|da)|nelze doru|nebyl\w* (?:\S+ )?doru",
    r"edilemedi|iletilemedi|nem (?:siker|k[ée]zbes)|nu a putut|nevar[ēe]ja",
    r"(?:送信|配信|配送|配達|お届け)(?:することが)?(?:が)?でき(?:ま(?:せん|し)|な)|失敗しました|戻され|届きませんでした",
    r"(?:无法|無法|未能|不能)(?:\S{0,6})(?:送|投|发|發|傳|传|寄|到达)|失败|失敗|退信|不存在|被拒",
    r"(?:전송|배달|발송|전달)\S{0,6} ?(?:못|않|없|실패)|반송", r"تعذر|لم يتم|غير موجود",
    r"δεν (?:\S+ ){0,4}?(?:παραδ|δυνατ)|không thể|ไม่สามารถ|לא ניתן|לא נמסר",
)  # fmt: skip
"""In the text: something was not delivered."""

DELAY = _any_of(
    r"\bdelay(?:ed|s)?\b|delivery delay", r"warning (?:message )?only|just a warning",
    r"not (?:yet )?been delivered.{0,60}(?:will|after more than)",
    r"(?:has )?not yet (?:been )?deliver",
    r"will (?:be retried|continue to (?:try|attempt)|keep trying|retry)", r"still (?:being|trying)",
    r"attempts will continue", r"deliver\w* (?:has been |was )?postponed|been postponed",
    r"only a temporary failure report|do not need to re-?send",
    r"verz(?:ö|oe)ger|noch nicht zugestellt|weitere (?:zustell)?versuche",
    r"retard[ée]|pas encore [ée]t[ée]|retrasad|a[úu]n no (?:se )?ha",
    r"atrasad|ainda n[ãa]o|ritardat|non [èe] ancora stat|vertraagd|nog niet bezorgd",
    r"op[óo][źz]nion|задерж|ещ(?:е|ё) не доставл|f[öo]rsenad|forsinket",
    r"遅延|遅れてい|再送を試み|延迟|延遲|将继续尝试|지연",
)  # fmt: skip
"""In subject or text: the server is still trying."""

FINAL = _any_of(
    r"permanent(?:ly)?\b.{0,20}\b(?:error|fail|fatal)|failed permanently|permanent error",
    r"giv(?:en|ing) up|no further (?:delivery )?attempts",
    r"undelivered mail returned|will be deleted from queue|message (?:has )?expired",
)  # fmt: skip
"""In the text: the server has given up, whatever it says about delays."""

NOT_A_RECIPIENT = _any_of(
    r"\b(?:contact|assist\w*|help|support|question|abuse|inform\w*|further)\b(?: \S+){0,8}\W*$",
    r"\b(?:sender|sent (?:by|from)|from|by|reply to|reply-to|return-path|envelope-from)\W*$",
    r"\b(?:please (?:\S+ ){0,3}(?:write|mail|send|forward|reply)|send (?:\S+ ){0,6}to)\W*$",
    r"\b(?:mail from|x-postfix-sender|reports? (?:\S+ )?to|try(?: \S+){0,4} (?:to|at)|if)\W*$",
    r"(?:kontakt\w*|wenden|von|absender|remitente|expediteur|expéditeur|mittente|отправител\w*)"
    r"(?: \S+){0,5}\W*$",
    r"(?:差出人|送信者|发件人|發件人|寄件者|보낸\s?사람|までご連絡|へご連絡)\W*$",
)  # fmt: skip
"""Before an address: it is somebody else's, not the failed recipient's."""

RECIPIENT_LABEL = _any_of(
    r"\b(?:recipients?|addressees?|e-?mail address|address|rcpt to|rcpt_to|rcpt|error-for|userid)"
    r"(?: \w+){0,2}\W*$",
    r"\b(?:unknown|invalid|illegal|nonexist\w*) (?:\w+ )?(?:user|recipient|address|mailbox)\W*$",
    r"\bundeliver\w*\s+to\W*$|\bfailed \d+ attempts\W*$|\bdeliver\w*(?: \S+){0,5} to\W*$",
    r"(?:empf(?:ä|ae)nger\w*|destinatari[oa]s?|destinat[áa]rio|destinataires?|odbiorc\w+)\W*$",
    r"(?:ontvanger|mottagare|modtager|vastaanottaja|адресат\w*|получател\w*|p[řr][íi]jemce)\W*$",
    r"(?:宛先|受信者|送信先|あて先|收件人|收信人|收件者|받는\s?사람|수신자)\W*$",
)  # fmt: skip
"""Before an address: it is the failed recipient's."""
