//! Senders are told once that it takes long (RFC 3461 section 4.1, NOTIFY=DELAY).
//!
//! When that is due is the message's own business, whether an attempt was made for it or it waits behind a destination that
//! is down.

use delivery::Courier;
use protocol::EnhancedCode;

use crate::active::{Active, Content, Progressing, way};
use crate::clock::{Millis, millis};
use crate::notice::Action;
use crate::patience::Patience;
use crate::shared::Shared;
use crate::state::Note;
use crate::store::Change;
use crate::tell::{Told, is_told, write};

/// RFC 3463 section 3.5: nobody asked the next hop for this message.
const NOT_TRIED: EnhancedCode = EnhancedCode(4, 4, 0);

/// When to tell the sender; `None` when there is nothing to tell, now or later.
pub(crate) fn due(shared: &Shared, content: &Content, progress: &Progressing) -> Option<Millis> {
    let after = millis(shared.settings.delay_notice_after);
    let someone = !progress.state.held && after > 0 && untold(shared, content, progress).next().is_some();
    someone.then(|| content.arrived.saturating_add(after))
}

/// Those who wait, and of whom the sender wants to know it and does not.
fn untold<'a>(
    shared: &'a Shared,
    content: &'a Content,
    progress: &'a Progressing,
) -> impl Iterator<Item = usize> + use<'a> {
    let action = Action::Delayed { until: 0 };
    let wanted = move |at: usize| {
        let recipient = content.envelope.recipients.get(at);
        recipient.is_some_and(|recipient| is_told(&shared.settings, &content.envelope, recipient, action))
    };
    progress.state.pending().filter(move |(at, progress)| !progress.delay_told && wanted(*at)).map(|(at, _)| at)
}

/// Tells the sender, durably, if it is time: one notice for all who wait. When it cannot be written down, it is told later.
pub(crate) async fn tell(
    shared: &Shared,
    courier: &Courier,
    active: &Active,
    content: &Content,
    progress: &mut Progressing,
) {
    let now = shared.clock.now();
    if due(shared, content, progress).is_none_or(|due| due > now) {
        return;
    }
    let mut state = progress.state.clone();
    let mut told = Vec::new();
    for at in untold(shared, content, progress) {
        let Some(recipient) = state.recipients.get_mut(at) else { continue };
        recipient.delay_told = true;
        let way = way(courier, content, at);
        let patience = Patience::with(&shared.settings, way.as_ref().map(|way| (courier, way)));
        let until = content.arrived.saturating_add(patience.give_up_after);
        // Its failure is what there is to tell next.
        if until <= now || way.is_none() {
            continue;
        }
        let note = recipient.last.clone().unwrap_or_else(|| Note {
            status: NOT_TRIED,
            host: String::new(),
            reply: String::new(),
            text: "no attempt has been made for it yet: its destination is down or busy, or this system was".to_owned(),
        });
        told.push(Told { at, action: Action::Delayed { until }, note });
    }
    match write(shared, active.id, content, &told, Change::State(state.encode())).await {
        Ok(()) => progress.state = state,
        Err(error) => tracing::error!(id = %active.id, %error, "a notice of delay cannot be written down yet"),
    }
}
