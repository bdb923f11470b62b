//! Processor sharing in virtual time: n members of a resource each progress at the same rate, so a member's finishing time
//! changes when others come and go, yet the order of finishing does not. A virtual clock that runs at the common rate makes
//! an arrival or departure leave all others as they are (Zhang 1990, *virtual clock*; the generalised processor sharing of
//! networks). It costs a search among the members and a move of those that finish sooner: for the few to some hundreds
//! that share a machine this is less than a heap costs.

use crate::units::SimTime;

/// Who uses a resource; the owner's own numbering.
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
    /// Units of work a nanosecond that each member gets, fixed point.
    rate: u64,
    /// Work that every member present since the start would have got, fixed point.
    virtual_work: u128,
    updated: SimTime,
    /// The members and the virtual work at which each finishes, who finishes first last; of equals who came first.
    finishing: Vec<(u128, MemberId)>,
    changes: u64,
}

impl SharedResource {
    /// A resource that does `capacity` units of work a nanosecond, at most `member_limit` of them for one member.
    pub fn new(capacity: f64, member_limit: f64) -> Self {
        Self {
            capacity: fixed(capacity),
            member_limit: fixed(member_limit),
            rate: fixed(capacity).min(fixed(member_limit)),
            virtual_work: 0,
            updated: SimTime::ZERO,
            finishing: Vec::new(),
            changes: 0,
        }
    }

    /// How often members came and went or rates changed. While it stays, so does the next completion.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Members at work.
    pub fn len(&self) -> usize {
        self.finishing.len()
    }

    /// Nobody is at work.
    pub fn is_empty(&self) -> bool {
        self.finishing.is_empty()
    }

    /// Changes the capacity and the limit of one member from `now` on.
    pub fn set_rates(&mut self, now: SimTime, capacity: f64, member_limit: f64) {
        self.advance(now);
        self.capacity = fixed(capacity);
        self.member_limit = fixed(member_limit);
        self.set_rate();
    }

    /// `member` begins `amount` units of work. It must not be at work already.
    pub fn join(&mut self, now: SimTime, member: MemberId, amount: u64) {
        debug_assert!(self.finishing.iter().all(|&(_, other)| other != member), "member {member} is at work");
        self.advance(now);
        let target = self.virtual_work + (u128::from(amount) << SHIFT);
        let place = self.finishing.partition_point(|&(other, _)| other > target);
        self.finishing.insert(place, (target, member));
        self.set_rate();
    }

    /// `member` gives up.
    pub fn leave(&mut self, now: SimTime, member: MemberId) {
        self.advance(now);
        self.finishing.retain(|&(_, other)| other != member);
        self.set_rate();
    }

    /// When the next member finishes if nobody comes or goes; never when the resource stands still.
    pub fn next_completion(&self) -> Option<SimTime> {
        let &(target, _) = self.finishing.last()?;
        if self.rate == 0 {
            return None;
        }
        let left = target.saturating_sub(self.virtual_work);
        // What is left mostly fits 64 bits, whose division is many times faster.
        let wait = match u64::try_from(left) {
            Ok(left) => left.div_ceil(self.rate),
            Err(_) => u64::try_from(left.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX),
        };
        Some(SimTime(self.updated.0.saturating_add(wait)))
    }

    /// A member that has finished by `now`, if any; it is no longer a member.
    pub fn pop_completed(&mut self, now: SimTime) -> Option<MemberId> {
        self.advance(now);
        let &(target, member) = self.finishing.last()?;
        if target > self.virtual_work {
            return None;
        }
        self.finishing.pop();
        self.set_rate();
        Some(member)
    }

    fn set_rate(&mut self) {
        self.changes += 1;
        let members = self.finishing.len().max(1) as u64;
        // Where all can have what one may have at most, no division is needed.
        let unbound = self.member_limit.checked_mul(members).is_some_and(|all| all <= self.capacity);
        self.rate = if unbound { self.member_limit } else { self.member_limit.min(self.capacity / members) };
    }

    fn advance(&mut self, now: SimTime) {
        let elapsed = now.since(self.updated).0;
        if elapsed > 0 {
            self.virtual_work += u128::from(self.rate) * u128::from(elapsed);
            self.updated = now;
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
