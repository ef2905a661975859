//! Bots on a published client SDK, which know nothing of this suite: what they ask of a server is what
//! clients ask.

use crate::bot::Bot;
use crate::failure::Failure;
use crate::pair::Pair;

/// Two bots talk in an encrypted room that one of the servers made. Comity is killed and comes back;
/// the talk goes on, and a third bot comes and is let in on all that is said from then on.
pub fn are_kept(pair: &Pair, home: usize) -> Result<(), Failure> {
    let stage = pair.stage(home, "12");
    let mut alice = pair.bots.talker(&*stage.home, "alice")?;
    let mut bob = pair.bots.talker(&*stage.away, "bob")?;
    let room = alice.make_room(&[bob.id()])?;
    bob.accept(&room)?;
    alice.sees_join(&room, bob.id())?;
    is_understood(&mut alice, &mut [&mut bob], &room, "Do you have it?")?;
    is_understood(&mut bob, &mut [&mut alice], &room, "It is under the oak.")?;
    is_understood(&mut alice, &mut [&mut bob], &room, "I was told the elm.")?;

    let [comity, _] = &pair.servers;
    comity.go_down()?;
    comity.start()?;
    is_understood(&mut bob, &mut [&mut alice], &room, "Just changed my hat.")?;
    let mut carol = pair.bots.talker(&*stage.away, "carol")?;
    alice.invite(&room, carol.id())?;
    carol.accept(&room)?;
    alice.sees_join(&room, carol.id())?;
    bob.sees_join(&room, carol.id())?;
    is_understood(
        &mut alice,
        &mut [&mut bob, &mut carol],
        &room,
        "Who is that?",
    )?;
    is_understood(&mut bob, &mut [&mut alice, &mut carol], &room, "A friend.")?;
    is_understood(
        &mut carol,
        &mut [&mut alice, &mut bob],
        &room,
        "It is the elm.",
    )
}

fn is_understood(
    speaker: &mut Bot,
    listeners: &mut [&mut Bot],
    room: &str,
    words: &str,
) -> Result<(), Failure> {
    speaker.say(room, words)?;
    listeners
        .iter_mut()
        .try_for_each(|listener| listener.hears(room, speaker.id(), words))
}
