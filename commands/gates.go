package commands

// gate lets a command pass (nil) or refuses it. Gates read the columns of the table and the state of the
// connection; none names a command.
type gate func(s *session, c *call) error

// gates is every check between a parsed command and its handler, in the order they are made. The order is
// Redis's: a client sees the same error when several would apply.
var gates = []gate{
	gateKnown,
	gateSub,
	gateArity,
	gateAuthenticated,
	gatePermitted,
	gateHome,
	gateSubscriber,
	gateQueue,
	gateFenced,
	gateMember,
	gateWritable,
}

// gateKnown finds the row.
func gateKnown(_ *session, c *call) error {
	if c.row = c.d.table.Lookup(c.args[0]); c.row == nil {
		return errAbsent(c.args)
	}
	return nil
}

// gateSub goes on to the sub-command's row. A container called alone, if it has no handler of its own,
// fails at its arity.
func gateSub(_ *session, c *call) error {
	if len(c.row.subs) == 0 || len(c.args) < 2 {
		return nil
	}
	sub := c.row.Sub(c.args[1])
	if sub == nil && c.row.absentSub != nil {
		return c.row.absentSub(c.d, c.args[1])
	}
	if sub == nil {
		return errUnknownSub(c.row.Name, c.args[1])
	}
	c.row = sub
	return nil
}

func gateArity(_ *session, c *call) error {
	if !c.row.fits(len(c.args)) {
		return errArity(c.row.Name)
	}
	return nil
}

// gateAuthenticated brings the connection's rights up to date, and holds one without a user to the rows
// flagged no_auth.
func gateAuthenticated(s *session, c *call) error {
	s.refresh(c.d)
	if s.who.account == nil && c.row.Flags&FlagNoAuth == 0 {
		return errNoAuth
	}
	return nil
}

// gatePermitted is where the user's rules meet the row's columns: its number, keys, channels and ranges.
func gatePermitted(s *session, c *call) error { return s.permit(c) }

// gateNested is gatePermitted for a command inside another one, which may stand in no connection.
func gateNested(s *session, c *call) error {
	if s == nil {
		return nil
	}
	return s.permit(c)
}

// gateSubscriber holds a RESP2 connection with subscriptions to the few commands it may send: the client
// could not tell other replies from messages.
func gateSubscriber(s *session, c *call) error {
	if c.row.subscribed || !s.subscriberMode() {
		return nil
	}
	return errSubscriber(c.row.Name)
}

// gateQueue refuses inside MULTI what cannot be part of a transaction. What passes the gates is then queued
// instead of served (transaction.take).
func gateQueue(s *session, c *call) error {
	if s.tx.open && c.row.Flags&FlagNoMulti != 0 {
		return errNotInMulti
	}
	return nil
}

// gateWritable refuses what would grow the state while the node takes no such writes.
func gateWritable(_ *session, c *call) error {
	if c.row.Flags&FlagDenyOOM == 0 {
		return nil
	}
	if err := c.d.engine.AcceptsWrites(); err != nil {
		return refusal(err)
	}
	return nil
}

// admit passes c through the gates.
func admit(s *session, c *call) error {
	for _, pass := range gates {
		if err := pass(s, c); err != nil {
			return err
		}
	}
	return nil
}
