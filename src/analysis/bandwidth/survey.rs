//! Which questions are worth asking, within a budget: a first one about every signature, then more where most bytes are.

use std::collections::HashMap;
use std::sync::Arc;

use super::estimate::{Part, Piece, Weighed, estimate};
use super::question::{Answer, Question};
use super::reply::{Parts, Reply, Span};
use super::{Calls, Certainty, NIL, OutputEstimate, Probing, array, bulk};
use crate::analysis::veil::Veil;
use crate::model::Bytes;

/// How often questions are asked; each time what is known by then decides where.
const ROUNDS: u32 = 4;

/// What is known of the sizes of keys, and what is still to be asked.
#[derive(Debug)]
pub struct Survey {
    calls: Vec<Asked>,
    /// Of keys that are answered for one by one.
    patterns: HashMap<Box<[u8]>, Arc<str>>,
    answers: HashMap<Question, Option<Answer>>,
    /// Commands that may still be sent.
    budget: usize,
    round: u32,
    probing: Probing,
    veil: Veil,
}

/// One signature: its replies in an order that is drawn, and how many of them were asked about.
#[derive(Debug)]
struct Asked {
    calls: Calls,
    replies: Vec<Reply>,
    until: usize,
}

impl Survey {
    /// Of these calls, with so many commands at most.
    pub fn new(calls: Vec<Calls>, budget: usize) -> Self {
        let lines = || calls.iter().flat_map(|calls| &calls.lines);
        let patterns = lines().flat_map(|call| call.arguments.iter().cloned().zip(call.patterns.iter().cloned()));
        let patterns = patterns.collect();
        let mut calls: Vec<Asked> = calls.into_iter().map(Asked::new).collect();
        // Whole collections first: a few calls of those may be most of all bytes.
        calls.sort_by(|one, other| {
            let rank = |asked: &Asked| (asked.calls.full_scan, asked.calls.calls);
            let ((one_full, one_calls), (other_full, other_calls)) = (rank(one), rank(other));
            other_full.cmp(&one_full).then(other_calls.total_cmp(&one_calls))
        });
        Self {
            calls,
            patterns,
            answers: HashMap::new(),
            budget,
            round: 0,
            probing: Probing::default(),
            veil: Veil::default(),
        }
    }

    /// Names keys as the veil has it, once they needn't be asked about any more.
    #[must_use]
    pub fn veiled(self, veil: Veil) -> Self {
        Self { veil, ..self }
    }

    /// Takes note of how the keys are asked.
    pub fn asked_by(&mut self, probing: Probing) {
        self.probing = probing;
    }

    /// What to ask next; nothing when enough is known or the budget is used up.
    pub fn next_questions(&mut self) -> Vec<Question> {
        let mut asked = Vec::new();
        while asked.is_empty() && self.round < ROUNDS {
            asked = match self.round {
                0 => self.first_questions(),
                round => self.more_questions(if round + 1 == ROUNDS { 1.0 } else { 0.5 }),
            };
            self.round += 1;
        }
        asked
    }

    /// Takes answers; `None` is one that wasn't given.
    pub fn take(&mut self, answers: impl IntoIterator<Item = (Question, Option<Answer>)>) {
        self.answers.extend(answers);
    }

    /// What was sent, beside what the node's counter says was sent to clients.
    pub fn finish(self, measured: Option<Bytes>) -> OutputEstimate {
        let weighed: Vec<Weighed> = self.calls.iter().map(|asked| self.weigh(asked)).collect();
        OutputEstimate {
            sizes: self.probing,
            ..estimate(weighed, measured, &self.veil)
        }
    }

    /// One reply of each signature, with half of the budget.
    fn first_questions(&mut self) -> Vec<Question> {
        let mut allowed = self.budget / 2;
        let mut asked = Vec::new();
        for place in 0..self.calls.len() {
            self.extend(place, 1, &mut allowed, &mut asked);
        }
        asked
    }

    /// Where most bytes are by what is known, with a part of what is left.
    fn more_questions(&mut self, part: f64) -> Vec<Question> {
        let weights: Vec<f64> = self
            .calls
            .iter()
            .map(|asked| self.weigh(asked).worth(asked.cost()))
            .collect();
        // Where a question costs more, fewer of them make the same budget.
        let shares: Vec<f64> = weights
            .iter()
            .zip(&self.calls)
            .map(|(weight, asked)| weight * asked.cost() as f64)
            .collect();
        let all: f64 = shares.iter().sum();
        let mut asked = Vec::new();
        if all <= 0.0 {
            return asked;
        }
        let room = self.budget as f64 * part;
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by(|one, other| weights[*other].total_cmp(&weights[*one]));
        for place in order {
            let mut allowed = (room * shares[place] / all) as usize;
            self.extend(place, usize::MAX, &mut allowed, &mut asked);
        }
        asked
    }

    /// Asks about the next replies of one signature, as many as are wanted and allowed.
    fn extend(&mut self, place: usize, wanted: usize, allowed: &mut usize, asked: &mut Vec<Question>) {
        let of = &mut self.calls[place];
        let end = of.until.saturating_add(wanted).min(of.replies.len());
        while of.until < end {
            let mut new: Vec<Question> = Vec::new();
            for question in of.replies[of.until].questions() {
                if !self.answers.contains_key(question) && !asked.contains(question) && !new.contains(question) {
                    new.push(question.clone());
                }
            }
            let cost: usize = new.iter().map(Question::cost).sum();
            if cost > (*allowed).min(self.budget) {
                return;
            }
            *allowed -= cost;
            self.budget -= cost;
            asked.extend(new);
            of.until += 1;
        }
    }

    /// What one signature's calls were answered with, by those that were asked about.
    fn weigh<'survey>(&'survey self, asked: &'survey Asked) -> Weighed<'survey> {
        let mut parts = Vec::new();
        for reply in &asked.replies[..asked.until] {
            if let Some((bytes, certainty)) = self.size(reply) {
                parts.push(Part {
                    pieces: self.pieces(asked, reply, bytes),
                    bytes,
                    certainty,
                });
            }
        }
        Weighed {
            calls: &asked.calls,
            parts,
        }
    }

    /// What of a reply each of its keys has. Of one whose keys weren't all kept, those that were stand for the rest.
    fn pieces<'survey>(&'survey self, asked: &'survey Asked, reply: &'survey Reply, bytes: f64) -> Vec<Piece<'survey>> {
        let questions = reply.questions();
        let named = questions.iter().map(|question| self.patterns.get(&question.key));
        if let (Reply::Strings { array: true, .. }, Some(patterns)) = (reply, named.collect::<Option<Vec<_>>>()) {
            let sizes = questions
                .iter()
                .map(|question| self.string(question).map_or(0.0, |(size, _)| size as f64));
            let sizes: Vec<f64> = sizes.collect();
            let all = sizes.iter().sum::<f64>().max(1.0);
            let pieces = questions.iter().zip(patterns).zip(sizes);
            return pieces
                .map(|((question, pattern), size)| Piece {
                    key: Some(&question.key),
                    pattern: Some(pattern),
                    bytes: bytes * size / all,
                })
                .collect();
        }
        let key = questions.first().map(|question| &*question.key);
        vec![Piece {
            key: key.filter(|_| asked.calls.pattern.is_some()),
            pattern: None,
            bytes,
        }]
    }

    fn answer(&self, question: &Question) -> Option<Answer> {
        self.answers.get(question).copied().flatten()
    }

    /// How many bytes a reply has; `None` if what that depends on isn't known.
    fn size(&self, reply: &Reply) -> Option<(f64, Certainty)> {
        match reply {
            Reply::Fixed(bytes, certainty) => Some((*bytes as f64, *certainty)),
            Reply::Unknown => None,
            Reply::Strings {
                questions,
                total,
                array,
            } => self.strings(questions, *total, *array),
            Reply::Piece(question, range) => {
                let length = length(self.answer(question)?)?.0;
                Some((bulk(range.resolve(length).1) as f64, Certainty::Uncertain))
            }
            Reply::Elements(question, span, parts) => self.elements(question, span, *parts),
        }
    }

    fn strings(&self, questions: &[Question], total: usize, in_array: bool) -> Option<(f64, Certainty)> {
        let mut certainty = Certainty::Exact;
        let mut sum = 0;
        for question in questions {
            let (size, how) = self.string(question)?;
            if how == Certainty::Uncertain {
                certainty = how;
            }
            sum += size;
        }
        if !in_array {
            return Some((sum as f64, certainty));
        }
        if questions.len() < total {
            certainty = Certainty::Uncertain;
        }
        let all = sum as f64 * total as f64 / questions.len().max(1) as f64;
        Some((array(total as u64) as f64 + all, certainty))
    }

    /// A string, or that there is none.
    fn string(&self, question: &Question) -> Option<(u64, Certainty)> {
        let (length, certainty) = length(self.answer(question)?)?;
        Some((if length == 0 { NIL } else { bulk(length) }, certainty))
    }

    fn elements(&self, question: &Question, span: &Span, parts: Parts) -> Option<(f64, Certainty)> {
        let Answer::Elements(elements) = self.answer(question)? else {
            return None;
        };
        let each = match parts {
            Parts::Items => elements.item,
            Parts::Partners => elements.partner,
            Parts::Both => elements.item + elements.partner,
        };
        let count = elements.count;
        let items = match span {
            Span::One if count == 0 => return Some((NIL as f64, Certainty::Exact)),
            Span::One => return Some((each, Certainty::Uncertain)),
            Span::Range(range) => range.resolve(count).1,
            Span::Some(items) => count.min(*items),
            Span::Repeated(_) if count == 0 => 0,
            Span::Repeated(items) => *items,
            Span::Between {
                counted,
                skipped,
                limit,
            } => match self.answer(counted)? {
                Answer::Count(between) => between.saturating_sub(*skipped).min(*limit),
                _ => return None,
            },
        };
        let pieces = if parts == Parts::Both { 2 * items } else { items };
        let whole = elements.whole && items == count || items == 0;
        let certainty = if whole { Certainty::Exact } else { Certainty::Uncertain };
        Some((array(pieces) as f64 + items as f64 * each, certainty))
    }
}

impl Asked {
    /// What asking about one more call costs.
    fn cost(&self) -> usize {
        let reply = self.replies.get(self.until).or_else(|| self.replies.first());
        reply.map_or(1, |reply| reply.questions().into_iter().map(Question::cost).sum())
    }

    fn new(calls: Calls) -> Self {
        let mut replies: Vec<Reply> = calls
            .lines
            .iter()
            .map(|call| Reply::to(&calls.command, Some(call)))
            .filter(|reply| *reply != Reply::Unknown)
            .collect();
        if calls.lines.is_empty() {
            let alike = Reply::to(&calls.command, None);
            replies.extend(Some(alike).filter(|reply| *reply != Reply::Unknown));
        }
        shuffle(&mut replies);
        Self {
            calls,
            replies,
            until: 0,
        }
    }
}

/// A length, 0 where nothing is; `None` of an answer to something else.
fn length(answer: Answer) -> Option<(u64, Certainty)> {
    match answer {
        Answer::Length(length) => Some((length, Certainty::Exact)),
        Answer::AboutLength(length) => Some((length, Certainty::Uncertain)),
        Answer::Elements(_) | Answer::Count(_) => None,
    }
}

/// An order that has nothing to do with time, always the same one for as many replies.
fn shuffle(replies: &mut [Reply]) {
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for place in (1..replies.len()).rev() {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        replies.swap(place, (chance % (place as u64 + 1)) as usize);
    }
}
