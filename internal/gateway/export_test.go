package gateway

import "time"

// SetPatience changes how long g reads of a request that is not granted.
func (g *Gateway) SetPatience(d time.Duration) { g.patience = d }
