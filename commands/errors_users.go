package commands

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redkeep/redkeep/acl"
)

// Texts of users and rights; those without "administrator" or "logins" in them are Redis's.
const (
	errNoAuth      = clientError("NOAUTH Authentication required.")
	errHelloNoAuth = clientError(
		"NOAUTH HELLO must be called with the client already authenticated, otherwise " +
			"the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP " +
			"protocol version at the same time")
	errUserName    = clientError("ERR Usernames can't contain spaces or null characters")
	errDefaultUser = clientError("ERR The 'default' user cannot be removed")
	errGenPass     = clientError(
		"ERR ACL GENPASS argument must be the number of bits for the output password, " +
			"a positive number up to 4096")
	errNoACLFile = clientError("ERR users are kept by the cluster and every change of them is saved already; " +
		"there is no ACL file to load")
	errLastAdministrator = clientError("ERR this would leave no user who may run ACL SETUSER, so no " +
		"administrator; nothing was changed. First make another one, on, with a password and with +@all or " +
		"+acl|setuser")
)

// errProtected is Redis's first word and meaning; what to do is different here.
const errProtected = clientError("DENIED Redkeep is running in protected mode because protected mode is " +
	"enabled and no password is set for the default user. In this mode connections are only accepted from the " +
	"loopback interface. If you want to connect from external computers, you may adopt one of the following " +
	"solutions: 1) Make an administrator and turn the default user off, from the loopback interface: 'redkeep " +
	"user add admin --admin --close-default'. 2) Start the nodes with --default-password-file. 3) Turn " +
	"protected mode off with --protected-mode no, if nobody else can reach this port.")

func errTooManyLogins(wait time.Duration) error {
	return clientError(fmt.Sprintf("BUSY too many failed logins from this address; the password was not looked "+
		"at, try again in %d seconds", int(wait.Seconds())+1))
}

// errSubWords is for a sub-command with words too many or of the wrong kind.
func errSubWords(c *call) error {
	container, _, _ := strings.Cut(c.row.Name, "|")
	return clientError(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
		cut(c.args[1], quotedBytes), strings.ToUpper(container)))
}

func errNoCategory(name []byte) error {
	return clientError("ERR Unknown category '" + cut(name, quotedBytes) + "'")
}

func errNoUser(name []byte) error {
	return clientError("ERR User '" + cut(name, quotedBytes) + "' not found")
}

func errNoCommand(name []byte) error {
	return clientError("ERR Command '" + cut(name, quotedBytes) + "' not found")
}

// errRule is the text for a rule that cannot be applied. It repeats the rule, as Redis does, unless that
// holds a password.
func errRule(err error) error {
	var open *acl.OpenSelectorError
	if errors.As(err, &open) {
		return clientError("ERR " + open.Error())
	}
	var bad *acl.RuleError
	if !errors.As(err, &bad) {
		return errInternal
	}
	op := bad.Op
	if strings.HasPrefix(op, ">") || strings.HasPrefix(op, "<") {
		op = op[:1] + "***"
	}
	return clientError("ERR Error in ACL SETUSER modifier '" + op + "': " + bad.Err.Error())
}

// denial is what a user may not do.
type denial struct {
	what   acl.Denial
	row    *Command
	object string // the command, key or channel
}

func (e *denial) Error() string {
	switch e.what {
	case acl.NoKey:
		return "NOPERM this user has no permissions to access one of the keys used as arguments"
	case acl.NoChannel:
		return "NOPERM this user has no permissions to access one of the channels used as arguments"
	default:
		return "NOPERM this user has no permissions to run the '" + e.row.Name + "' command"
	}
}

// scriptText is the same for a call from a script.
func (e *denial) scriptText() error {
	what := map[acl.Denial]string{acl.NoCommand: "run this command or subcommand",
		acl.NoKey:     "access at least one of the keys mentioned in the command arguments",
		acl.NoChannel: "publish to the channel mentioned in the command"}
	return clientError("ERR The user executing the script can't " + what[e.what])
}

// execText is the same for a command that was queued when it was still allowed.
func (e *denial) execText() error {
	what := map[acl.Denial]string{acl.NoCommand: "no permission to execute the command or subcommand",
		acl.NoKey:     "no permission to touch the specified keys",
		acl.NoChannel: "no permission to access one of the channels used as arguments to the command"}
	return clientError("NOPERM ACLs rules changed between the moment the transaction was accumulated and the " +
		"EXEC call. This command is no longer allowed for the following reason: " + what[e.what])
}

// dryText is what ACL DRYRUN says of it.
func (e *denial) dryText() string {
	switch e.what {
	case acl.NoKey:
		return "This user has no permissions to access the '" + e.object + "' key"
	case acl.NoChannel:
		return "This user has no permissions to access the '" + e.object + "' channel"
	default:
		return "This user has no permissions to run the '" + e.row.Name + "' command"
	}
}
