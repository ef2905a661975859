//! The sets of servers that things go to, named so that each is written down once and not with
//! every event of its room.

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::OwnedServerName;

use crate::persistence::{
    queries::Write,
    tables::{AUDIENCES_NAMED, AudienceId},
};

/// The audiences that can be named.
#[derive(Debug, Default)]
pub(super) struct Audiences {
    last: AudienceId,
    named: BTreeMap<Arc<[OwnedServerName]>, AudienceId>,
}

impl Audiences {
    /// None yet, and so many in the past.
    pub(super) fn after(last: AudienceId) -> Self {
        let named = BTreeMap::new();
        Self { last, named }
    }

    /// The name of an audience, sorted, and what to write if it is new.
    pub(super) fn name(&mut self, servers: &Arc<[OwnedServerName]>) -> (AudienceId, Option<Write>) {
        if let Some(id) = self.named.get(servers) {
            return (*id, None);
        }
        self.last.0 += 1;
        let last = self.last;
        if self.named.len() as u64 >= AUDIENCES_NAMED / 2 {
            self.named
                .retain(|_, id| id.0 + AUDIENCES_NAMED / 4 > last.0);
        }
        self.named.insert(servers.clone(), last);
        let servers = servers.clone();
        (last, Some(Write::Audience { id: last, servers }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(number: u64) -> Arc<[OwnedServerName]> {
        [format!("s{number}").try_into().unwrap()].into()
    }

    #[test]
    fn an_audience_is_written_once_and_only_named_while_the_store_remembers_it() {
        let mut audiences = Audiences::after(AudienceId(40));
        let (first, write) = audiences.name(&servers(0));
        assert_eq!(first, AudienceId(41));
        assert!(matches!(write, Some(Write::Audience { .. })));
        assert_eq!(audiences.name(&servers(0)), (first, None));
        for number in 0..5 * AUDIENCES_NAMED {
            let (first, _) = audiences.name(&servers(0));
            let (last, _) = audiences.name(&servers(number));
            assert!(first.0 + AUDIENCES_NAMED > last.0, "{first:?} {last:?}");
        }
        assert!(audiences.named.len() as u64 <= AUDIENCES_NAMED);
    }
}
