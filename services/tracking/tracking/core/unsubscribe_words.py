"""What the page to unsubscribe says, in each language."""

from collections.abc import Mapping
from dataclasses import dataclass

from tracking.core.language import Language


@dataclass(frozen=True, slots=True)
class UnsubscribeWords:
    """Plain text. {address}, {date} and {name} stand for what is filled in."""

    title: str
    question: str
    sender: str
    messages: str
    address: str
    all_mail: str
    of_list: str  # {name}
    of_tag: str  # {name}
    everything: str  # label of the choice to leave all
    leave: str  # on the button
    left_title: str
    left: str  # {address}
    undo: str  # {date}
    undo_button: str
    back_title: str
    back: str  # {address}
    bound_title: str  # it cannot be taken back any more
    bound: str
    wrong_title: str  # no token of ours
    wrong: str
    gone_title: str  # a token of ours, and nothing is known of its message
    gone: str
    later_title: str
    later: str


_ENGLISH = UnsubscribeWords(
    title="Unsubscribe",
    question="Do you want to get no more of these messages?",
    sender="Sender",
    messages="Messages",
    address="Your address",
    all_mail="all messages of this sender",
    of_list="the list “{name}”",
    of_tag="messages of the kind “{name}”",
    everything="Unsubscribe from all other messages of this sender, too",
    leave="Unsubscribe",
    left_title="You are unsubscribed",
    left="You will get no more of these messages at {address}. One that was already sent may"
    " still arrive.",
    undo="Was this a mistake? You can subscribe again until {date}.",
    undo_button="Subscribe again",
    back_title="You are subscribed again",
    back="You will get these messages at {address} as before.",
    bound_title="You are still unsubscribed",
    bound="This can no longer be changed here. Please ask the sender of the messages.",
    wrong_title="This link does not work",
    wrong="It is incomplete or damaged, and nothing was changed. Please copy the whole link from"
    " the message.",
    gone_title="This link is too old",
    gone="Nothing is known any more about the message that it came in, and nothing was changed."
    " Please use the link in a newer message, or ask the sender.",
    later_title="Please try again later",
    later="This cannot be done just now. Please try again in a few minutes.",
)
_GERMAN = UnsubscribeWords(
    title="Abmelden",
    question="Möchten Sie diese Nachrichten nicht mehr erhalten?",
    sender="Absender",
    messages="Nachrichten",
    address="Ihre Adresse",
    all_mail="alle Nachrichten dieses Absenders",
    of_list="die Liste „{name}“",
    of_tag="Nachrichten der Art „{name}“",
    everything="Auch von allen anderen Nachrichten dieses Absenders abmelden",
    leave="Abmelden",
    left_title="Sie sind abgemeldet",
    left="Sie erhalten an {address} keine dieser Nachrichten mehr. Eine, die schon abgeschickt"
    " wurde, kann noch ankommen.",
    undo="War das ein Versehen? Bis {date} können Sie sich hier wieder anmelden.",
    undo_button="Wieder anmelden",
    back_title="Sie sind wieder angemeldet",
    back="Sie erhalten diese Nachrichten an {address} wie bisher.",
    bound_title="Sie sind weiterhin abgemeldet",
    bound="Das lässt sich hier nicht mehr ändern. Bitte wenden Sie sich an den Absender der"
    " Nachrichten.",
    wrong_title="Dieser Link funktioniert nicht",
    wrong="Er ist unvollständig oder beschädigt, und es wurde nichts geändert. Bitte kopieren Sie"
    " den ganzen Link aus der Nachricht.",
    gone_title="Dieser Link ist zu alt",
    gone="Über die Nachricht, in der er stand, ist nichts mehr bekannt, und es wurde nichts"
    " geändert. Bitte nehmen Sie den Link aus einer neueren Nachricht, oder wenden Sie sich an den"
    " Absender.",
    later_title="Bitte versuchen Sie es später noch einmal",
    later="Das ist im Moment nicht möglich. Bitte versuchen Sie es in einigen Minuten noch einmal.",
)
_ITALIAN = UnsubscribeWords(
    title="Annulla l'iscrizione",
    question="Non vuole più ricevere questi messaggi?",
    sender="Mittente",
    messages="Messaggi",
    address="Il suo indirizzo",
    all_mail="tutti i messaggi di questo mittente",
    of_list="la lista «{name}»",
    of_tag="i messaggi di tipo «{name}»",
    everything="Annulla l'iscrizione anche a tutti gli altri messaggi di questo mittente",
    leave="Annulla l'iscrizione",
    left_title="L'iscrizione è annullata",
    left="Non riceverà più questi messaggi all'indirizzo {address}. Un messaggio già inviato può"
    " ancora arrivare.",
    undo="È stato un errore? Può iscriversi di nuovo fino al {date}.",
    undo_button="Iscriviti di nuovo",
    back_title="È di nuovo iscritto",
    back="Riceverà questi messaggi all'indirizzo {address} come prima.",
    bound_title="L'iscrizione resta annullata",
    bound="Qui non si può più cambiare. Si rivolga al mittente dei messaggi.",
    wrong_title="Questo link non funziona",
    wrong="È incompleto o danneggiato, e nulla è stato cambiato. Copi il link intero dal"
    " messaggio.",
    gone_title="Questo link è troppo vecchio",
    gone="Del messaggio in cui si trovava non si sa più nulla, e nulla è stato cambiato. Usi il"
    " link di un messaggio più recente o si rivolga al mittente.",
    later_title="Riprovi più tardi",
    later="In questo momento non è possibile. Riprovi tra qualche minuto.",
)
_FRENCH = UnsubscribeWords(
    title="Se désabonner",
    question="Souhaitez-vous ne plus recevoir ces messages ?",
    sender="Expéditeur",
    messages="Messages",
    address="Votre adresse",
    all_mail="tous les messages de cet expéditeur",
    of_list="la liste « {name} »",
    of_tag="les messages du type « {name} »",
    everything="Se désabonner aussi de tous les autres messages de cet expéditeur",
    leave="Se désabonner",
    left_title="Vous êtes désabonné",
    left="Vous ne recevrez plus ces messages à l'adresse {address}. Un message déjà envoyé peut"
    " encore arriver.",
    undo="Était-ce une erreur ? Vous pouvez vous réabonner jusqu'au {date}.",
    undo_button="Se réabonner",
    back_title="Vous êtes de nouveau abonné",
    back="Vous recevrez ces messages à l'adresse {address} comme auparavant.",
    bound_title="Vous restez désabonné",
    bound="Cela ne peut plus être modifié ici. Adressez-vous à l'expéditeur des messages.",
    wrong_title="Ce lien ne fonctionne pas",
    wrong="Il est incomplet ou endommagé, et rien n'a été modifié. Copiez le lien entier depuis le"
    " message.",
    gone_title="Ce lien est trop ancien",
    gone="On ne sait plus rien du message qui le contenait, et rien n'a été modifié. Utilisez le"
    " lien d'un message plus récent ou adressez-vous à l'expéditeur.",
    later_title="Veuillez réessayer plus tard",
    later="Ce n'est pas possible pour le moment. Veuillez réessayer dans quelques minutes.",
)
_SPANISH = UnsubscribeWords(
    title="Cancelar la suscripción",
    question="¿Quiere dejar de recibir estos mensajes?",
    sender="Remitente",
    messages="Mensajes",
    address="Su dirección",
    all_mail="todos los mensajes de este remitente",
    of_list="la lista «{name}»",
    of_tag="los mensajes del tipo «{name}»",
    everything="Cancelar también la suscripción a todos los demás mensajes de este remitente",
    leave="Cancelar la suscripción",
    left_title="Su suscripción está cancelada",
    left="Ya no recibirá estos mensajes en {address}. Un mensaje ya enviado todavía puede llegar.",
    undo="¿Ha sido un error? Puede volver a suscribirse hasta el {date}.",
    undo_button="Volver a suscribirse",
    back_title="Vuelve a estar suscrito",
    back="Recibirá estos mensajes en {address} como antes.",
    bound_title="Su suscripción sigue cancelada",
    bound="Aquí ya no se puede cambiar. Diríjase al remitente de los mensajes.",
    wrong_title="Este enlace no funciona",
    wrong="Está incompleto o dañado, y no se ha cambiado nada. Copie el enlace entero del mensaje.",
    gone_title="Este enlace es demasiado antiguo",
    gone="Ya no se sabe nada del mensaje en el que estaba, y no se ha cambiado nada. Use el enlace"
    " de un mensaje más reciente o diríjase al remitente.",
    later_title="Inténtelo de nuevo más tarde",
    later="En este momento no es posible. Inténtelo de nuevo en unos minutos.",
)
UNSUBSCRIBE_WORDS: Mapping[Language, UnsubscribeWords] = {
    Language.ENGLISH: _ENGLISH,
    Language.GERMAN: _GERMAN,
    Language.ITALIAN: _ITALIAN,
    Language.FRENCH: _FRENCH,
    Language.SPANISH: _SPANISH,
}
