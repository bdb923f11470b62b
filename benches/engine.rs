//! What the kernel of the simulation costs, apart from Spark.
//!
//! A reader may conclude how the price of one event grows with the events that are pending, and how the price of one
//! arrival at a shared processor, disk or network grows with the tasks at work there. Pending events of a real run are as
//! many as its busy slots (some hundreds to some thousands), members of one resource as many as the slots of one machine.
//! Budget: 150 ns for an event at 1,000 pending, 300 ns for a member's whole stay among 64.
//!
//! Nothing here tells how fast a simulated application is: see `benches/run.rs`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::RngExt as _;
use spillcast::engine::{EventQueue, MemberId, SharedResource};
use spillcast::rng::{Purpose, stream};
use spillcast::units::SimTime;

/// Draws that a bench cycles through, so that it does not measure the generator.
const DRAWS: usize = 4096;

fn draws(below: u64) -> Vec<u64> {
    let mut rng = stream(1, Purpose::Sizes, 0);
    (0..DRAWS).map(|_| rng.random_range(1..below)).collect()
}

/// The hold model (Jones 1986): take the next event, schedule another at a random distance.
fn event_queue(criterion: &mut Criterion) {
    let distances = draws(1_000_000);
    let mut group = criterion.benchmark_group("event queue, hold");
    group.throughput(Throughput::Elements(1));
    for pending in [64, 1_000, 10_000] {
        let mut queue = EventQueue::new();
        for index in 0..pending {
            queue.schedule(SimTime(distances[index % DRAWS]), (index, 0u64));
        }
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(pending), |bencher| {
            bencher.iter(|| {
                let (now, event) = queue.pop().expect("as many are pending as before");
                at = (at + 1) % DRAWS;
                queue.schedule(SimTime(now.0 + distances[at]), black_box(event));
            });
        });
    }
    group.finish();
}

/// Members come, ask when the next one is done, and go when they are: what a task's stretch of work costs.
fn join_and_complete(criterion: &mut Criterion) {
    let amounts = draws(1_000_000);
    let mut group = criterion.benchmark_group("processor sharing, join and complete");
    group.throughput(Throughput::Elements(1));
    for members in [4, 64, 1_000] {
        let mut cpu = SharedResource::new(4.0, 1.0);
        for member in 0..members {
            cpu.join(SimTime::ZERO, member as MemberId, amounts[member % DRAWS]);
        }
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| {
                let now = cpu.next_completion().expect("somebody is at work");
                let member = cpu.pop_completed(now).expect("the time was announced");
                at = (at + 1) % DRAWS;
                cpu.join(now, black_box(member), amounts[at]);
            });
        });
    }
    group.finish();
}

/// Members that leave before they are done, as the tasks of a lost executor do, and come back.
fn join_and_leave(criterion: &mut Criterion) {
    let amounts = draws(1_000_000);
    let mut group = criterion.benchmark_group("processor sharing, leave and join");
    group.throughput(Throughput::Elements(1));
    for members in [4, 64, 1_000] {
        let mut disk = SharedResource::new(1.0, 1.0);
        for member in 0..members {
            disk.join(SimTime::ZERO, member as MemberId, 1_000_000_000 + amounts[member % DRAWS]);
        }
        let (mut at, mut now) = (0, SimTime::ZERO);
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % DRAWS;
                now.0 += 1;
                let member = amounts[at] % members as MemberId;
                disk.leave(now, member);
                disk.join(now, member, 1_000_000_000 + amounts[at]);
                black_box(disk.next_completion())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, event_queue, join_and_complete, join_and_leave);
criterion_main!(benches);
