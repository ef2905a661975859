//! The story, scene by scene.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use comity_core::messaging::command::{Command, Content, CreateRoom, Preset, Reply};
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId, UserId};

use super::{narrator::Narrator, server::DemoServer};

/// How long a server may take to show an event.
const PATIENCE: Duration = Duration::from_secs(8);

type Played = Result<(), Box<dyn Error>>;

/// The room of the story, and who is in it.
struct Story<'n> {
    narrator: &'n Narrator,
    room_id: OwnedRoomId,
    alice: OwnedUserId,
    bob: OwnedUserId,
    carol: OwnedUserId,
    dave: OwnedUserId,
}

/// Plays all scenes.
pub(super) fn play(
    narrator: &Narrator,
    oak: &mut DemoServer,
    elm: &mut DemoServer,
    fir: &mut DemoServer,
) -> Result<OwnedRoomId, Box<dyn Error>> {
    introduce(narrator, &[oak, elm, fir]);
    let story = Story::begin(narrator, oak, elm, fir)?;
    story.the_others_join(oak, elm, fir)?;
    story.all_talk(oak, elm, fir)?;
    story.one_is_invited(oak, elm, fir)?;
    story.one_is_stopped(oak, elm, fir)?;
    story.it_catches_up(oak, elm, fir)?;
    Ok(story.room_id)
}

fn introduce(narrator: &Narrator, servers: &[&DemoServer]) {
    narrator.scene("Three servers, each with its own database and certificate");
    for server in servers {
        let identity = &server.identity;
        let (label, runtime) = (identity.label, identity.runtime.name());
        narrator.step(&format!(
            "{label} is {} and runs on {runtime}",
            identity.server_name
        ));
    }
}

impl<'n> Story<'n> {
    fn begin(
        narrator: &'n Narrator,
        oak: &DemoServer,
        elm: &DemoServer,
        fir: &DemoServer,
    ) -> Result<Self, Box<dyn Error>> {
        narrator.scene("Alice, on oak, creates a room");
        let alice = oak.identity.user("alice")?;
        let reply = oak.command(Command::CreateRoom(Box::new(tea_room(alice.clone()))))?;
        let Reply::Room(room_id) = reply else {
            return Err("no room".into());
        };
        narrator.step(&format!("“Tea” is {room_id}"));
        let (bob, carol) = (elm.identity.user("bob")?, fir.identity.user("carol")?);
        let dave = elm.identity.user("dave")?;
        Ok(Self {
            narrator,
            room_id,
            alice,
            bob,
            carol,
            dave,
        })
    }

    fn the_others_join(&self, oak: &DemoServer, elm: &DemoServer, fir: &DemoServer) -> Played {
        self.narrator
            .scene("Bob, on elm, and Carol, on fir, join it by federation");
        self.join(&self.bob, elm, oak)?;
        self.join(&self.carol, fir, oak)
    }

    fn all_talk(&self, oak: &DemoServer, elm: &DemoServer, fir: &DemoServer) -> Played {
        self.narrator.scene("All talk");
        let everybody = [oak, elm, fir];
        self.say(
            &self.alice,
            oak,
            "The kettle is on. Who is here?",
            &everybody,
        )?;
        self.say(&self.bob, elm, "I am, with biscuits.", &everybody)?;
        self.say(&self.carol, fir, "And I have brought the cups.", &everybody)
    }

    fn one_is_invited(&self, oak: &DemoServer, elm: &DemoServer, fir: &DemoServer) -> Played {
        self.narrator.scene("Alice invites Dave, a user of elm");
        let invite = Command::Invite {
            sender: self.alice.clone(),
            target: self.dave.clone(),
            room_id: self.room_id.clone(),
            content: Content::new(),
        };
        oak.command(invite)?;
        self.narrator
            .step("oak invited him, and elm has signed the invite");
        self.join(&self.dave, elm, oak)?;
        self.say(
            &self.dave,
            elm,
            "Thank you! Is there milk?",
            &[oak, elm, fir],
        )
    }

    fn one_is_stopped(&self, oak: &DemoServer, elm: &DemoServer, fir: &mut DemoServer) -> Played {
        self.narrator
            .scene("fir is stopped hard, as by a crash; the talk goes on");
        fir.stop_hard();
        self.say(
            &self.alice,
            oak,
            "Carol is gone. More tea, Bob?",
            &[oak, elm],
        )?;
        self.say(&self.bob, elm, "Please. She will be back.", &[oak, elm])?;
        self.say(&self.dave, elm, "There is no milk left.", &[oak, elm])
    }

    fn it_catches_up(&self, oak: &DemoServer, elm: &DemoServer, fir: &mut DemoServer) -> Played {
        self.narrator.scene("fir is started again and catches up");
        fir.start_again()?;
        let everybody = [oak, elm, fir as &DemoServer];
        self.say(&self.carol, fir, "Back again. What did I miss?", &everybody)?;
        self.say(&self.alice, oak, "Nothing but the milk.", &everybody)?;
        let shown = elm.timeline(&self.room_id)?;
        let said = shown
            .iter()
            .filter(|event| event.pdu.event_type() == "m.room.message");
        for message in said.clone() {
            if !fir.holds(message.pdu.event_id(), PATIENCE)? {
                return Err(format!("fir did not catch up: {:?} is missing", message.pdu).into());
            }
        }
        self.narrator.step(&format!(
            "fir has all {} messages that elm has",
            said.count()
        ));
        Ok(())
    }

    fn join(&self, user_id: &UserId, server: &DemoServer, resident: &DemoServer) -> Played {
        let via: Vec<OwnedServerName> = vec![resident.identity.server_name.clone()];
        server.command(Command::Join {
            user_id: user_id.to_owned(),
            room_id: self.room_id.clone(),
            via,
            content: Content::new(),
        })?;
        let (who, label) = (user_id.localpart(), server.identity.label);
        self.narrator.step(&format!(
            "{who} has joined; {label} holds the room's state now"
        ));
        Ok(())
    }

    /// Says something and waits until some servers have shown it.
    fn say(
        &self,
        sender: &UserId,
        server: &DemoServer,
        text: &str,
        audience: &[&DemoServer],
    ) -> Played {
        let start = Instant::now();
        let event_id = server.say(sender, &self.room_id, text)?;
        self.narrator.said(sender, text, &event_id);
        for listener in audience {
            if !listener.sees(&event_id, PATIENCE.saturating_sub(start.elapsed())) {
                let label = listener.identity.label;
                return Err(format!("{label} has not seen “{text}” in time").into());
            }
        }
        let labels: Vec<_> = audience
            .iter()
            .map(|listener| listener.identity.label)
            .collect();
        self.narrator.seen(&event_id, &labels, start.elapsed());
        Ok(())
    }
}

fn tea_room(creator: OwnedUserId) -> CreateRoom {
    CreateRoom {
        creator,
        version: None,
        preset: Preset::Public,
        creation_content: Content::new(),
        power_levels: Content::new(),
        creator_content: Content::new(),
        alias: None,
        initial_state: Vec::new(),
        name: Some("Tea".to_owned()),
        topic: None,
    }
}
