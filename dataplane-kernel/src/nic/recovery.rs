//! How a card that has failed is found out and brought back, whatever the card: the parts that its queue pairs have in it are in
//! [`super::pairs`].

use super::Health;
use super::pairs::{Member, Pairs, Progress};
use alloc::sync::Arc;
use core::fmt::Display;

/// What is counted about a card as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Times the link went up or down.
    pub(super) link_changes: u64,
    /// Times the card asked to be reset.
    pub(super) needs_reset: u64,
    /// Times the card was found reset, disabled or removed by somebody else.
    pub(super) lost: u64,
    /// Times it was reset because of that, or because it sent nothing any more.
    pub(super) resets: u64,
}

/// What a look at a card's registers has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Works,
    /// It is not on its bus any more.
    Gone,
    AsksForReset,
    /// It is not as its driver has left it.
    WasReset,
}

/// A card as a whole, which the first pair's core looks after.
pub(super) trait Card {
    /// Why it cannot be used.
    type Error: Display;

    /// Looks how it is.
    fn state(&mut self) -> State;

    /// Looks how its link is.
    fn link_up(&mut self) -> bool;

    /// Resets it: it touches no memory any more.
    fn reset(&mut self) -> Result<(), Self::Error>;

    /// Sets it to work after a reset, with queues that are at their beginning.
    fn revive(&mut self) -> Result<(), Self::Error>;

    fn counters(&mut self) -> &mut Counters;
}

/// A pair of queues, whose core has the card as well if it is the first.
pub(super) trait Pair {
    type Card: Card;

    fn card(&mut self) -> Option<&mut Self::Card>;

    fn member(&mut self) -> &mut Member;

    /// Puts the queues back to their beginning, for a card that was reset. What it had to send is lost, like any frame can be.
    fn park(&mut self);

    /// Whether the card has sent anything since this was last asked.
    fn progress(&mut self) -> Progress;

    /// The card has frames, and has sent none since the look before.
    fn nudge(&mut self) {}
}

/// See [`super::Nic::check`].
pub(super) fn check(pair: &mut impl Pair) -> Health {
    let pairs = Arc::clone(&pair.member().pairs);
    if pairs.health.get() == Health::LinkUp && !pair.member().is_down() {
        match pair.progress() {
            Progress::Made => {}
            Progress::None => pair.nudge(),
            Progress::Hung => pairs.want_reset(),
        }
    }
    if let Some(card) = pair.card() {
        look(card, &pairs);
    }
    follow(pair);
    if let Some(card) = pair.card() {
        bring_back(card, &pairs);
    }
    follow(pair);
    pairs.health.get()
}

/// Resets the card because its driver wants that, and goes on with what it is to be by now.
pub(super) fn restart(pair: &mut impl Pair, why: &str) {
    let pairs = Arc::clone(&pair.member().pairs);
    if let Some(card) = pair.card().filter(|_| !pairs.is_down()) {
        reset(card, why, &pairs);
    }
    follow(pair);
    check(pair);
}

/// Follows the card down, or back.
#[cold]
pub(super) fn follow(pair: &mut impl Pair) {
    if pair.member().goes_down() {
        pair.park();
        pair.member().parked();
    }
}

/// Looks how the card is, and takes it down if there is no other cure.
fn look(card: &mut impl Card, pairs: &Pairs) {
    if pairs.is_down() {
        return;
    }
    match card.state() {
        State::Gone => {
            card.counters().lost += 1;
            give_up("is gone", pairs);
        }
        State::AsksForReset => {
            card.counters().needs_reset += 1;
            reset(card, "asks to be reset", pairs);
        }
        State::WasReset => {
            card.counters().lost += 1;
            reset(card, "was reset by somebody else", pairs);
        }
        State::Works if pairs.reset_is_wanted() => reset(card, "sends nothing any more", pairs),
        State::Works => tell_link(card, pairs),
    }
}

fn tell_link(card: &mut impl Card, pairs: &Pairs) {
    let link_up = card.link_up();
    let health = Health::of_link(link_up);
    if pairs.health.get() != health {
        pairs.health.set(health);
        card.counters().link_changes += 1;
        log::info!("link {}", if link_up { "up" } else { "down" });
    }
}

fn reset(card: &mut impl Card, why: &str, pairs: &Pairs) {
    log::warn!("the network card {why}; it is reset");
    card.counters().resets += 1;
    match card.reset() {
        Ok(()) => {
            pairs.health.set(Health::LinkDown);
            pairs.take_down();
        }
        Err(_) => give_up("does not come out of reset", pairs),
    }
}

/// The card does not work any more, and is left alone.
fn give_up(why: &str, pairs: &Pairs) {
    log::error!("the network card {why}; nothing is received or sent any more");
    pairs.health.set(Health::Failed);
    pairs.take_down();
}

/// Sets the card to work again after a reset, as soon as all pairs have parked.
fn bring_back(card: &mut impl Card, pairs: &Pairs) {
    if !pairs.is_down() || !pairs.have_parked() || pairs.health.get() == Health::Failed {
        return;
    }
    if let Err(error) = card.revive() {
        log::error!("{error}");
        return give_up("does not work after a reset", pairs);
    }
    pairs.bring_back();
    tell_link(card, pairs);
    log::warn!("the network card works again");
}
