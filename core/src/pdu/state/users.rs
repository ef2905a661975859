//! A set of users, packed as states are: a room may have very many members.

use ruma_common::{OwnedUserId, UserId};

use super::{
    tree::{Tree, changed, size},
    walk::Pending,
};

/// Users, in the order of their ids.
#[derive(Clone, Default)]
pub struct UserSet {
    root: Tree,
}

impl UserSet {
    /// How many there are.
    pub fn len(&self) -> usize {
        size(&self.root)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Whether a user is among them.
    pub fn contains(&self, user_id: &UserId) -> bool {
        let root = self.root.as_ref();
        root.is_some_and(|root| root.get((user_id.as_str(), "")).is_some())
    }

    /// Adds a user; `false` if it was there.
    pub fn insert(&mut self, user_id: &UserId) -> bool {
        let is_new = !self.contains(user_id);
        if is_new {
            self.root = changed(&self.root, &[((user_id.as_str(), ""), Some(""))]);
        }
        is_new
    }

    /// Removes a user; `false` if it was not there.
    pub fn remove(&mut self, user_id: &UserId) -> bool {
        let is_known = self.contains(user_id);
        if is_known {
            self.root = changed(&self.root, &[((user_id.as_str(), ""), None)]);
        }
        is_known
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &UserId> {
        let mut pending = Pending::start(&self.root);
        let users = std::iter::from_fn(move || pending.next_row());
        users.filter_map(|[user_id, _, _]| user_id.try_into().ok())
    }
}

impl FromIterator<OwnedUserId> for UserSet {
    fn from_iter<I: IntoIterator<Item = OwnedUserId>>(users: I) -> Self {
        let mut users: Vec<_> = users.into_iter().collect();
        users.sort_unstable();
        users.dedup();
        let changes: Vec<_> = users
            .iter()
            .map(|user_id| ((user_id.as_str(), ""), Some("")))
            .collect();
        Self {
            root: changed(&None, &changes),
        }
    }
}

impl std::fmt::Debug for UserSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
