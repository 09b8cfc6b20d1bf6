//! Questions that are on their way: who has said no, and whose answer is missing. Pure.

use std::collections::{HashMap, HashSet};

use super::words::{Invitation, NodeId};

/// Questions of one node, by their number. Their askers bound how many there are: each waits for one.
#[derive(Debug)]
pub(super) struct Lookups<T> {
    asked: u64,
    open: HashMap<u64, Lookup<T>>,
}

#[derive(Debug)]
struct Lookup<T> {
    missing: HashSet<NodeId>,
    asker: T,
}

/// What has come of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The room is there.
    There(Invitation),
    /// All nodes that were asked have said no.
    Nowhere,
}

impl<T> Default for Lookups<T> {
    fn default() -> Self {
        Self {
            asked: 0,
            open: HashMap::new(),
        }
    }
}

impl<T> Lookups<T> {
    /// A question to these nodes; returns its number.
    pub(super) fn ask(&mut self, nodes: impl IntoIterator<Item = NodeId>, asker: T) -> u64 {
        self.asked += 1;
        let missing = nodes.into_iter().collect();
        self.open.insert(self.asked, Lookup { missing, asker });
        self.asked
    }

    /// A node has answered. Returns what has come of the question, and who has asked it, where that is
    /// known now. One that nobody has heard of may have the room, too.
    pub(super) fn answered(
        &mut self,
        number: u64,
        from: NodeId,
        has: Option<Invitation>,
    ) -> Option<(T, Found)> {
        let lookup = self.open.get_mut(&number)?;
        let found = match has {
            Some(invitation) => Found::There(invitation),
            None => {
                lookup.missing.remove(&from);
                if !lookup.missing.is_empty() {
                    return None;
                }
                Found::Nowhere
            }
        };
        let lookup = self.open.remove(&number)?;
        Some((lookup.asker, found))
    }

    /// Whose answers are missing.
    pub(super) fn missing(&self, number: u64) -> HashSet<NodeId> {
        let lookup = self.open.get(&number);
        lookup.map(|it| it.missing.clone()).unwrap_or_default()
    }

    /// A node is dead, and so has no room.
    pub(super) fn dead(&mut self, node: NodeId) -> Vec<(T, Found)> {
        let numbers: Vec<_> = self.open.keys().copied().collect();
        let settled = numbers.into_iter();
        settled
            .filter_map(|number| self.answered(number, node, None))
            .collect()
    }

    /// Nobody waits for the answers any more. Returns whose are missing.
    pub(super) fn give_up(&mut self, number: u64) -> HashSet<NodeId> {
        let lookup = self.open.remove(&number);
        lookup.map(|it| it.missing).unwrap_or_default()
    }

    /// How many are on their way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there() -> Invitation {
        Invitation {
            address: "ws://a.example/".to_owned(),
            ticket: [7; 16],
        }
    }

    #[test]
    fn a_room_is_there_where_one_has_it_and_nowhere_when_all_have_said_no() {
        let nodes = [NodeId::random(), NodeId::random()];
        let mut lookups = Lookups::default();
        let (first, second) = (lookups.ask(nodes, 'a'), lookups.ask(nodes, 'b'));
        assert_eq!(lookups.answered(first, nodes[0], None), None);
        assert_eq!(lookups.answered(first, nodes[0], None), None, "twice");
        let found = lookups.answered(first, nodes[1], None);
        assert_eq!(found, Some(('a', Found::Nowhere)));
        let found = lookups.answered(second, NodeId::random(), Some(there()));
        assert_eq!(found, Some(('b', Found::There(there()))));
        assert_eq!(lookups.answered(second, nodes[1], None), None, "it is over");
        assert_eq!(lookups.len(), 0);
    }

    #[test]
    fn who_does_not_answer_is_known_when_it_is_given_up() {
        let nodes = [NodeId::random(), NodeId::random()];
        let mut lookups = Lookups::default();
        let number = lookups.ask(nodes, ());
        lookups.answered(number, nodes[1], None);
        assert_eq!(lookups.missing(number), HashSet::from([nodes[0]]));
        assert_eq!(lookups.give_up(number), HashSet::from([nodes[0]]));
        assert_eq!(lookups.len(), 0);
        assert!(lookups.give_up(number).is_empty());
    }

    #[test]
    fn a_dead_node_has_no_room() {
        let nodes = [NodeId::random(), NodeId::random()];
        let mut lookups = Lookups::default();
        let number = lookups.ask(nodes, 'a');
        lookups.ask([nodes[1]], 'b');
        lookups.answered(number, nodes[1], None);
        assert_eq!(lookups.dead(nodes[0]), [('a', Found::Nowhere)]);
        assert_eq!(lookups.len(), 1);
    }
}
