//! Work that several wait for and that is done once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

/// What is under way, by key.
#[derive(Debug)]
pub(crate) struct Flights<K> {
    under_way: Arc<Mutex<HashMap<K, watch::Receiver<()>>>>,
    permits: Arc<Semaphore>,
}

impl<K: Hash + Eq + Clone + Send + 'static> Flights<K> {
    /// `most` are under way at a time; more wait for their turn.
    pub(crate) fn new(most: usize) -> Self {
        Self { under_way: Arc::default(), permits: Arc::new(Semaphore::new(most)) }
    }

    /// Waits until the work under this key is done: what is under way already, or `work`. It goes on to its end also when
    /// nobody waits any more.
    pub(crate) async fn join(&self, key: K, work: impl Future<Output = ()> + Send + 'static) {
        let mut done = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            match under_way.get(&key) {
                Some(done) => done.clone(),
                None => {
                    let (landing, done) = watch::channel(());
                    under_way.insert(key.clone(), done.clone());
                    let landed = Landed { under_way: Arc::clone(&self.under_way), key, _landing: landing };
                    let permits = Arc::clone(&self.permits);
                    tokio::spawn(async move {
                        let _landed = landed;
                        let _permit = permits.acquire_owned().await;
                        work.await;
                    });
                    done
                }
            }
        };
        // An error when the sender is gone: that is the landing.
        let _ = done.changed().await;
    }
}

/// Dropped when the work is done, or has panicked: the key is free then, and all who wait go on.
struct Landed<K: Hash + Eq> {
    under_way: Arc<Mutex<HashMap<K, watch::Receiver<()>>>>,
    key: K,
    _landing: watch::Sender<()>,
}

impl<K: Hash + Eq> Drop for Landed<K> {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn many_wait_for_one() {
        let flights = Arc::new(Flights::new(4));
        let done = Arc::new(AtomicUsize::new(0));
        let (open, gate) = tokio::sync::watch::channel(false);
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let (flights, done, mut gate) = (Arc::clone(&flights), Arc::clone(&done), gate.clone());
                tokio::spawn(async move {
                    let work = async move {
                        gate.wait_for(|open| *open).await.unwrap();
                        done.fetch_add(1, Ordering::SeqCst);
                    };
                    flights.join("key", work).await;
                })
            })
            .collect();
        tokio::task::yield_now().await;
        open.send(true).unwrap();
        for waiter in waiting {
            waiter.await.unwrap();
        }
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_panic_frees_the_key() {
        let flights = Flights::new(1);
        flights.join("key", async { panic!("as it happens") }).await;
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        flights.join("key", async move { counted.store(1, Ordering::SeqCst) }).await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}
