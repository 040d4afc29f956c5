//! Which segments vary: a tree of the skeletons seen, in which the siblings of one place become `{VAR}` when they are too many.
//!
//! The outcome depends on which skeletons were seen, not on their order, as long as the tree has room: a place is learned when the
//! values below all that came to be one place pass the limit, however they came together.

use std::collections::BTreeMap;

use super::class::Class;
use super::registry::{PatternId, Registry};
use super::scan::{SEGMENTS_MAX, segments};

/// When the tree is full, a place that a new value comes to is learned from so many siblings on.
const CROWDED: usize = 8;

type NodeId = u32;

const ROOT: NodeId = 0;

/// The prefix up to and with the byte that ends a segment; or, without such a byte, a whole skeleton.
#[derive(Debug, Default)]
struct Node {
    parent: NodeId,
    text: Box<[u8]>,
    ended_by: Option<u8>,
    places: Vec<Place>,
    pattern: Option<PatternId>,
}

/// The segments that were seen behind a prefix before one and the same separator (or the end). `user:alice` and `user:alice:cart` stand at
/// two places, so that many leaves don't blur the few families beside them.
#[derive(Debug, Default)]
struct Place {
    ended_by: Option<u8>,
    learned: bool,
    /// Pure classes, and the empty segment: few, and never learned away.
    classes: BTreeMap<Box<[u8]>, NodeId>,
    literals: BTreeMap<Box<[u8]>, NodeId>,
    /// Numbers too short for a class. They are names (`page:2`) until there are many or longer ones come to stand beside them; then
    /// they are ids too.
    numbers: BTreeMap<Box<[u8]>, NodeId>,
}

/// Which of a place's children a segment belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Class,
    Literal,
    Number,
}

impl Kind {
    fn of(text: &[u8]) -> Self {
        if text.is_empty() || Class::named_at(text).is_some_and(|class| class.name().len() == text.len()) {
            return Self::Class;
        }
        if text.iter().all(u8::is_ascii_digit) {
            Self::Number
        } else {
            Self::Literal
        }
    }
}

impl Place {
    fn children(&self, kind: Kind) -> &BTreeMap<Box<[u8]>, NodeId> {
        match kind {
            Kind::Class => &self.classes,
            Kind::Literal => &self.literals,
            Kind::Number => &self.numbers,
        }
    }

    fn children_mut(&mut self, kind: Kind) -> &mut BTreeMap<Box<[u8]>, NodeId> {
        match kind {
            Kind::Class => &mut self.classes,
            Kind::Literal => &mut self.literals,
            Kind::Number => &mut self.numbers,
        }
    }

    fn all(&self) -> impl Iterator<Item = &NodeId> {
        self.classes
            .values()
            .chain(self.literals.values())
            .chain(self.numbers.values())
    }

    /// Whether short numbers are ids here.
    fn takes_numbers(&self) -> bool {
        self.learned || self.classes.contains_key(ID)
    }
}

const ID: &[u8] = Class::Id.name().as_bytes();
const VAR: &[u8] = Class::Learned.name().as_bytes();

#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    vacant: Vec<NodeId>,
    learn_after: usize,
    nodes_max: usize,
    patterns_max: usize,
}

impl Tree {
    pub(super) fn new(learn_after: usize, nodes_max: usize) -> Self {
        Self {
            nodes: vec![Node::default()],
            vacant: Vec::new(),
            learn_after,
            nodes_max,
            patterns_max: nodes_max.saturating_mul(16),
        }
    }

    /// The pattern of a skeleton; `None` when it is new and there is no room for it.
    pub(super) fn place(&mut self, skeleton: &[u8], registry: &mut Registry) -> Option<PatternId> {
        let room =
            self.nodes.len() - self.vacant.len() + SEGMENTS_MAX < self.nodes_max && registry.len() < self.patterns_max;
        let mut node = ROOT;
        for (text, ended_by) in segments(skeleton) {
            node = self.step(node, text, ended_by, room, registry)?;
        }
        if let Some(pattern) = self.nodes[node as usize].pattern {
            return Some(pattern);
        }
        if registry.len() >= self.patterns_max {
            return None;
        }
        let pattern = registry.create(&self.name(node));
        self.nodes[node as usize].pattern = Some(pattern);
        Some(pattern)
    }

    /// The pattern of a skeleton that must have one, room or not: used for a single name.
    pub(super) fn spare(&mut self, skeleton: &[u8], registry: &mut Registry) -> PatternId {
        let mut node = ROOT;
        for (text, ended_by) in segments(skeleton) {
            node = self
                .step(node, text, ended_by, true, registry)
                .expect("with room every step leads somewhere");
        }
        if let Some(pattern) = self.nodes[node as usize].pattern {
            return pattern;
        }
        let pattern = registry.create(&self.name(node));
        self.nodes[node as usize].pattern = Some(pattern);
        pattern
    }

    /// The place of `learned`, once more: what was learned elsewhere or earlier.
    pub(super) fn learn_again(&mut self, prefix: &[u8], ended_by: Option<u8>, registry: &mut Registry) -> bool {
        if self.nodes.len() - self.vacant.len() + SEGMENTS_MAX >= self.nodes_max {
            return false;
        }
        let mut node = ROOT;
        for (text, separator) in segments(prefix).filter(|(_, separator)| separator.is_some()) {
            match self.step(node, text, separator, true, registry) {
                Some(next) => node = next,
                None => return false,
            }
        }
        let place = self.place_of(node, ended_by);
        if !self.nodes[node as usize].places[place].learned {
            self.learn(node, ended_by, registry);
        }
        true
    }

    /// Each learned place as the prefix before it and the byte that ends it, parents before children.
    pub(super) fn learned(&self) -> Vec<(Vec<u8>, Option<u8>)> {
        let mut found = Vec::new();
        let mut row = vec![ROOT];
        while !row.is_empty() {
            let mut next = Vec::new();
            for node in row {
                for place in &self.nodes[node as usize].places {
                    if place.learned {
                        found.push((self.name(node).into_bytes(), place.ended_by));
                    }
                    next.extend(place.all());
                }
            }
            row = next;
        }
        found
    }

    fn step(
        &mut self,
        node: NodeId,
        text: &[u8],
        ended_by: Option<u8>,
        room: bool,
        registry: &mut Registry,
    ) -> Option<NodeId> {
        let index = self.place_of(node, ended_by);
        let kind = Kind::of(text);
        let place = &self.nodes[node as usize].places[index];
        if kind == Kind::Literal && place.learned {
            return Some(self.child(node, index, VAR, Kind::Class));
        }
        if kind == Kind::Number && place.takes_numbers() {
            return Some(self.child(node, index, ID, Kind::Class));
        }
        if let Some(child) = place.children(kind).get(text) {
            return Some(*child);
        }
        let siblings = place.children(kind).len();
        let many = siblings >= self.learn_after || (!room && siblings >= CROWDED);
        match kind {
            Kind::Literal if many => Some(self.learn(node, ended_by, registry)),
            Kind::Number if many => Some(self.number(node, ended_by, registry)),
            // Short numbers beside it are ids too.
            Kind::Class if room && text == ID => Some(self.number(node, ended_by, registry)),
            _ if room => Some(self.child(node, index, text, kind)),
            _ => None,
        }
    }

    /// The index of the place; it is made where there is none, and they are kept in order.
    fn place_of(&mut self, node: NodeId, ended_by: Option<u8>) -> usize {
        let places = &mut self.nodes[node as usize].places;
        places
            .binary_search_by_key(&ended_by, |place| place.ended_by)
            .unwrap_or_else(|index| {
                places.insert(
                    index,
                    Place {
                        ended_by,
                        ..Place::default()
                    },
                );
                index
            })
    }

    fn child(&mut self, node: NodeId, place: usize, text: &[u8], kind: Kind) -> NodeId {
        let vacant = self.vacant.last().copied();
        let id =
            vacant.unwrap_or_else(|| u32::try_from(self.nodes.len()).expect("the tree is capped far below 2³² nodes"));
        let place = &mut self.nodes[node as usize].places[place];
        let ended_by = place.ended_by;
        let children = place.children_mut(kind);
        if let Some(child) = children.get(text) {
            return *child;
        }
        children.insert(text.into(), id);
        let child = Node {
            parent: node,
            text: text.into(),
            ended_by,
            ..Node::default()
        };
        match self.vacant.pop() {
            Some(_) => self.nodes[id as usize] = child,
            None => self.nodes.push(child),
        }
        id
    }

    /// Makes the literals of a place one `{VAR}`, with all that lies below them, and returns it.
    fn learn(&mut self, node: NodeId, ended_by: Option<u8>, registry: &mut Registry) -> NodeId {
        let index = self.place_of(node, ended_by);
        let place = &mut self.nodes[node as usize].places[index];
        place.learned = true;
        let literals = std::mem::take(&mut place.literals);
        let learned = self.child(node, index, VAR, Kind::Class);
        for child in literals.into_values() {
            self.merge(child, learned, registry);
        }
        self.rename(learned, registry);
        if !self.nodes[node as usize].places[index].numbers.is_empty() {
            self.number(node, ended_by, registry);
        }
        learned
    }

    /// Makes the short numbers of a place one `{ID}`, and returns it.
    fn number(&mut self, node: NodeId, ended_by: Option<u8>, registry: &mut Registry) -> NodeId {
        let index = self.place_of(node, ended_by);
        let numbers = std::mem::take(&mut self.nodes[node as usize].places[index].numbers);
        let id = self.child(node, index, ID, Kind::Class);
        if numbers.is_empty() {
            return id;
        }
        for child in numbers.into_values() {
            self.merge(child, id, registry);
        }
        self.rename(id, registry);
        id
    }

    /// Moves what stands at and below `from` to `into`.
    fn merge(&mut self, from: NodeId, into: NodeId, registry: &mut Registry) {
        let moved = std::mem::take(&mut self.nodes[from as usize]);
        self.vacant.push(from);
        match (moved.pattern, self.nodes[into as usize].pattern) {
            (Some(pattern), Some(kept)) => registry.merge(pattern, kept),
            (Some(pattern), None) => self.nodes[into as usize].pattern = Some(pattern),
            (None, _) => {}
        }
        for place in moved.places {
            self.merge_place(place, into, registry);
        }
    }

    fn merge_place(&mut self, moved: Place, into: NodeId, registry: &mut Registry) {
        let ended_by = moved.ended_by;
        let index = self.place_of(into, ended_by);
        for (kind, children) in [
            (Kind::Class, moved.classes),
            (Kind::Literal, moved.literals),
            (Kind::Number, moved.numbers),
        ] {
            for (text, child) in children {
                match self.nodes[into as usize].places[index]
                    .children(kind)
                    .get(&text)
                    .copied()
                {
                    Some(kept) => self.merge(child, kept, registry),
                    None => self.adopt(child, into, index, text, kind),
                }
            }
        }
        let place = &mut self.nodes[into as usize].places[index];
        place.learned |= moved.learned;
        let literals = place.literals.len();
        if literals > self.learn_after || (literals > 0 && place.learned) {
            self.learn(into, ended_by, registry);
        }
        let place = &self.nodes[into as usize].places[index];
        let numbers = place.numbers.len();
        if numbers > self.learn_after || (numbers > 0 && place.takes_numbers()) {
            self.number(into, ended_by, registry);
        }
    }

    fn adopt(&mut self, child: NodeId, parent: NodeId, place: usize, text: Box<[u8]>, kind: Kind) {
        self.nodes[child as usize].parent = parent;
        self.nodes[parent as usize].places[place]
            .children_mut(kind)
            .insert(text, child);
    }

    /// Gives every pattern at and below `node` the name of where it stands now.
    fn rename(&self, node: NodeId, registry: &mut Registry) {
        if let Some(pattern) = self.nodes[node as usize].pattern {
            registry.rename(pattern, self.name(node));
        }
        for place in &self.nodes[node as usize].places {
            for child in place.all() {
                self.rename(*child, registry);
            }
        }
    }

    fn name(&self, node: NodeId) -> String {
        let mut path = Vec::new();
        let mut at = node;
        while at != ROOT {
            path.push(at);
            at = self.nodes[at as usize].parent;
        }
        let mut name = Vec::new();
        for id in path.into_iter().rev() {
            let node = &self.nodes[id as usize];
            name.extend_from_slice(&node.text);
            name.extend(node.ended_by);
        }
        // MONITOR's escapes are ASCII; other bytes can only come from a file that isn't MONITOR's.
        String::from_utf8_lossy(&name).into_owned()
    }
}
