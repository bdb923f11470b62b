//! Processor sharing in virtual time: n members of a resource each progress at the same rate, so a member's finishing time
//! changes when others come and go, yet the order of finishing does not. A virtual clock that runs at the common rate makes
//! an arrival or departure cost O(log n) (Zhang 1990, *virtual clock*; the generalised processor sharing of networks).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::units::SimTime;

/// Who uses a resource; the owner's own numbering, which should be dense: a resource keeps a place for every number up to
/// the largest it has seen.
pub type MemberId = u64;

/// Fractional bits of work in fixed point: 2^-24 of a nanosecond or byte.
const SHIFT: u32 = 24;

/// A resource whose members share its capacity evenly, none above its own limit.
#[derive(Debug)]
pub struct SharedResource {
    /// Units of work a nanosecond for all members together, fixed point.
    capacity: u64,
    /// Units of work a nanosecond for one member at most, fixed point.
    member_limit: u64,
    /// Work that every member present since the start would have got, fixed point.
    virtual_work: u128,
    updated: SimTime,
    finishing: BinaryHeap<Reverse<(u128, u64, MemberId)>>,
    /// Sequence number of each member's live entry; entries of members that left are void.
    sequence: u64,
    /// By member, `ABSENT` for those not at work.
    live: Vec<u64>,
    at_work: usize,
}

/// Sequence number of nobody.
const ABSENT: u64 = u64::MAX;

impl SharedResource {
    /// A resource that does `capacity` units of work a nanosecond, at most `member_limit` of them for one member.
    pub fn new(capacity: f64, member_limit: f64) -> Self {
        Self {
            capacity: fixed(capacity),
            member_limit: fixed(member_limit),
            virtual_work: 0,
            updated: SimTime::ZERO,
            finishing: BinaryHeap::new(),
            sequence: 0,
            live: Vec::new(),
            at_work: 0,
        }
    }

    /// Members at work.
    pub fn len(&self) -> usize {
        self.at_work
    }

    /// Nobody is at work.
    pub fn is_empty(&self) -> bool {
        self.at_work == 0
    }

    /// Changes the capacity and the limit of one member from `now` on.
    pub fn set_rates(&mut self, now: SimTime, capacity: f64, member_limit: f64) {
        self.advance(now);
        self.capacity = fixed(capacity);
        self.member_limit = fixed(member_limit);
    }

    /// `member` begins `amount` units of work.
    ///
    /// # Panics
    /// If the member is at work already.
    pub fn join(&mut self, now: SimTime, member: MemberId, amount: u64) {
        self.advance(now);
        let place = member as usize;
        if place >= self.live.len() {
            self.live.resize(place + 1, ABSENT);
        }
        assert!(self.live[place] == ABSENT, "member {member} is at work already");
        self.live[place] = self.sequence;
        self.at_work += 1;
        let target = self.virtual_work + (u128::from(amount) << SHIFT);
        self.finishing.push(Reverse((target, self.sequence, member)));
        self.sequence += 1;
    }

    /// `member` gives up.
    pub fn leave(&mut self, now: SimTime, member: MemberId) {
        self.advance(now);
        self.forget(member);
    }

    /// When the next member finishes if nobody comes or goes; never when the resource stands still.
    pub fn next_completion(&mut self) -> Option<SimTime> {
        self.discard_void();
        let Reverse((target, ..)) = self.finishing.peek()?;
        let rate = self.rate();
        if rate == 0 {
            return None;
        }
        let left = target.saturating_sub(self.virtual_work);
        // What is left mostly fits 64 bits, whose division is many times faster.
        let wait = match u64::try_from(left) {
            Ok(left) => left.div_ceil(rate),
            Err(_) => u64::try_from(left.div_ceil(u128::from(rate))).unwrap_or(u64::MAX),
        };
        Some(SimTime(self.updated.0.saturating_add(wait)))
    }

    /// A member that has finished by `now`, if any; it is no longer a member.
    pub fn pop_completed(&mut self, now: SimTime) -> Option<MemberId> {
        self.advance(now);
        self.discard_void();
        let Reverse((target, _, member)) = *self.finishing.peek()?;
        if target > self.virtual_work {
            return None;
        }
        self.finishing.pop();
        self.forget(member);
        Some(member)
    }

    fn rate(&self) -> u64 {
        self.member_limit.min(self.capacity / self.at_work.max(1) as u64)
    }

    fn forget(&mut self, member: MemberId) {
        if let Some(place) = self.live.get_mut(member as usize)
            && *place != ABSENT
        {
            *place = ABSENT;
            self.at_work -= 1;
        }
    }

    fn advance(&mut self, now: SimTime) {
        let elapsed = now.since(self.updated).0;
        self.virtual_work += u128::from(self.rate()) * u128::from(elapsed);
        self.updated = self.updated.max(now);
    }

    fn discard_void(&mut self) {
        while let Some(Reverse((_, sequence, member))) = self.finishing.peek() {
            if self.live[*member as usize] == *sequence {
                break;
            }
            self.finishing.pop();
        }
    }
}

fn fixed(rate: f64) -> u64 {
    (rate * f64::from(1u32 << SHIFT)).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_members_take_twice_as_long() {
        let mut disk = SharedResource::new(1.0, 1.0);
        disk.join(SimTime(0), 1, 100);
        assert_eq!(disk.next_completion(), Some(SimTime(100)));
        disk.join(SimTime(50), 2, 100);
        assert_eq!(disk.next_completion(), Some(SimTime(150)));
        assert_eq!(disk.pop_completed(SimTime(149)), None);
        assert_eq!(disk.pop_completed(SimTime(150)), Some(1));
        assert_eq!(disk.next_completion(), Some(SimTime(200)));
        assert_eq!(disk.pop_completed(SimTime(200)), Some(2));
        assert!(disk.is_empty());
    }

    #[test]
    fn a_member_alone_is_held_to_its_limit() {
        let mut cpu = SharedResource::new(4.0, 1.0);
        cpu.join(SimTime(0), 1, 100);
        cpu.join(SimTime(0), 2, 100);
        assert_eq!(cpu.next_completion(), Some(SimTime(100)));
        cpu.set_rates(SimTime(50), 1.0, 1.0);
        assert_eq!(cpu.next_completion(), Some(SimTime(150)));
    }

    #[test]
    fn who_leaves_frees_its_share_and_may_return() {
        let mut disk = SharedResource::new(1.0, 1.0);
        disk.join(SimTime(0), 1, 100);
        disk.join(SimTime(0), 2, 10);
        disk.leave(SimTime(10), 2);
        assert_eq!(disk.next_completion(), Some(SimTime(105)));
        disk.join(SimTime(10), 2, 1);
        assert_eq!(disk.pop_completed(SimTime(12)), Some(2));
    }

    #[test]
    fn a_resource_without_capacity_never_completes() {
        let mut stopped = SharedResource::new(0.0, 1.0);
        stopped.join(SimTime(0), 1, 1);
        assert_eq!(stopped.next_completion(), None);
    }
}
