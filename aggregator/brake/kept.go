package brake

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/mcpagg/mcpagg/oauth/store"
)

// storeKind is that of blocks in the store.
const storeKind = "block"

// key is what a block is stored under. Names of keys can be read on the disk, so that
// it tells nothing.
func (b *Block) key() string {
	sum := sha256.Sum256([]byte(string(b.Kind) + "\x00" + b.What))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// put stores a block until it is over.
func (b *Brake) put(ctx context.Context, one Block) (uint64, error) {
	b.mu.Lock()
	st := b.store
	b.mu.Unlock()
	value, err := json.Marshal(one)
	if err != nil {
		return 0, err
	}
	var ttl time.Duration
	if !one.Until.IsZero() {
		ttl = max(time.Until(one.Until), time.Second) // 0 would be for ever
	}
	return st.Put(ctx, storeKind, one.key(), value, ttl)
}

// follow keeps what is blocked as the store has it, until ctx ends.
func (b *Brake) follow(ctx context.Context) {
	select {
	case <-b.attached:
	case <-ctx.Done():
		return
	}
	b.mu.Lock()
	st := b.store
	b.mu.Unlock()
	st.Follow(ctx, store.Follower{Kind: storeKind, Apply: b.apply, Known: b.known, Log: b.log})
}

// known are the keys of what the store has told, or was told.
func (b *Brake) known() (keys []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, one := range b.blocks {
		if one.revision != local {
			keys = append(keys, key)
		}
	}
	return keys
}

// apply takes over what the store says of a block, unless it is older than what is
// known. A block that cannot be read counts for none: nobody could unblock it.
func (b *Brake) apply(e store.Event) {
	var one Block
	if !e.Deleted {
		err := json.Unmarshal(e.Value, &one)
		if err == nil {
			err = CheckName(one.Kind, one.What)
		}
		if err != nil || one.key() != e.Key {
			b.log.Error("a block in the store is none, and not in force", "revision", e.Revision, "err", err)
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	was, there := b.blocks[e.Key]
	if was.revision == local || e.Revision != 0 && e.Revision <= max(was.revision, b.gone[e.Key]) {
		return
	}
	delete(b.gone, e.Key)
	switch {
	case e.Deleted && !there:
		return
	case e.Deleted:
		delete(b.blocks, e.Key)
	case one.over(time.Now()):
		return
	default:
		b.blocks[e.Key] = blocked{one, e.Revision}
	}
	b.changedLocked()
}
