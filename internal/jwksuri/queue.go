package jwksuri

import "slices"

// queue hands out places to fetch: maxFetches at a time, maxOfOwner of them for
// one owner, and owners in turn, so that whoever has many or slow servers waits
// for themselves. It is not safe for concurrent use.
type queue struct {
	owners  map[string]*owner
	ready   []*owner // those with something to fetch and room for it, in turn
	running int
}

type owner struct {
	name    string
	waiting []*entry
	running int
	ready   bool // stands in queue.ready
}

// push adds a place; one that a request waits for comes before its owner's others,
// also when it stood behind them.
func (q *queue) push(e *entry, urgent bool) {
	o := q.owners[e.place.Owner]
	if o == nil {
		o = &owner{name: e.place.Owner}
		q.owners[o.name] = o
	}
	if urgent {
		o.waiting = slices.DeleteFunc(o.waiting, func(waits *entry) bool { return waits == e })
		o.waiting = slices.Insert(o.waiting, 0, e)
	} else {
		o.waiting = append(o.waiting, e)
	}
	q.stand(o)
}

// stand puts the owner at the end of the line, if it may stand there.
func (q *queue) stand(o *owner) {
	if !o.ready && len(o.waiting) > 0 && o.running < maxOfOwner {
		o.ready = true
		q.ready = append(q.ready, o)
	}
}

// next is what to fetch now; nil for nothing.
func (q *queue) next() *entry {
	if q.running >= maxFetches || len(q.ready) == 0 {
		return nil
	}
	o := q.ready[0]
	q.ready = q.ready[1:]
	o.ready = false
	e := o.waiting[0]
	o.waiting = o.waiting[1:]
	o.running++
	q.running++
	q.stand(o)
	return e
}

// finish makes room again.
func (q *queue) finish(e *entry) {
	o := q.owners[e.place.Owner]
	o.running--
	q.running--
	if o.running == 0 && len(o.waiting) == 0 {
		delete(q.owners, o.name)
		return
	}
	q.stand(o)
}
