package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The user verbs: ACL SETUSER and its kin, with passwords that come from a file, from standard input or from
// a prompt, never from the command line. A password is sent to the node as it is and sealed there, so over a
// network TLS must be on.

func newUser(c *client) *cobra.Command {
	cmd := &cobra.Command{Use: "user <verb>", Short: "Make, change and delete users",
		Long: `Make, change and delete users.

  redkeep user add admin --admin --close-default    the first administrator; nobody else gets in from then on
  redkeep user add app --rule '~app:*' --rule '+@all' --rule '-@admin'
  redkeep user passwd app                           another password
  redkeep user grant app '~shared:*'                more rules, in the language of ACL SETUSER

The password of a new user is the first line of --new-password-file, of standard input with -,
	or is asked for.
Who you are yourself: --user, and REDKEEP_PASSWORD or --password-file.`}
	cmd.AddCommand(c.userAdd(), c.userPassword(), c.userGrant(), c.userSwitch("enable", "on"),
		c.userSwitch("disable", "off"), c.userDelete(), c.userList(), c.userGet())
	return cmd
}

// userVerb is a verb whose first argument is a user.
func userVerb(use, short string, most int, run func(ctx context.Context,
	args []string) error) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	return &cobra.Command{Use: use, Annotations: noTable, Short: short,
		Args: argsBetween(1, most, "user "+name+" command needs the name of a user"),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) }}
}

// setUser sends rules; they stand in no error.
func (c *client) setUser(ctx context.Context, name, done string, rules ...string) error {
	words := []any{"ACL", "SETUSER", name}
	for _, r := range rules {
		words = append(words, r)
	}
	if _, _, err := c.ask(ctx, false, words...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "User %s %s\n", name, done)
	return err
}

func (c *client) userAdd() *cobra.Command {
	var admin, closeDefault, noPassword, generate bool
	var rules []string
	file := ""
	cmd := userVerb("add <name>", "Make a user", 1, func(ctx context.Context, args []string) error {
		if err := c.mustBeNew(ctx, args[0]); err != nil {
			return err
		}
		given := []string{"reset", "on"}
		if admin {
			given = append(given, "~*", "&*", "+@all")
		}
		given = append(given, rules...)
		switch {
		case generate:
			password := make([]byte, 32)
			_, _ = rand.Read(password) // it never fails
			given = append(given, ">"+hex.EncodeToString(password))
			fmt.Fprintf(c.out, "Password: %s\n", hex.EncodeToString(password))
		case !noPassword:
			password, err := c.newPassword(file)
			if err != nil {
				return err
			}
			given = append(given, ">"+password)
		}
		if err := c.setUser(ctx, args[0], "created", given...); err != nil || !closeDefault {
			return err
		}
		return c.setUser(ctx, "default", "disabled", "off")
	})
	f := cmd.Flags()
	f.BoolVar(&admin, "admin", false, "with all rights")
	f.BoolVar(&closeDefault, "close-default", false, "turn the default user off afterwards")
	f.BoolVar(&noPassword, "no-password", false, "without a password: for users of certificates")
	f.BoolVar(&generate, "generate", false, "with a random password, which is printed")
	f.StringArrayVar(&rules, "rule", nil, "a rule of ACL SETUSER; may be given many times")
	f.StringVar(&file, "new-password-file", "", "file whose first line is the password; - for standard input")
	return cmd
}

// mustBeNew refuses a name that a user has: making it again would take away its rules and passwords.
func (c *client) mustBeNew(ctx context.Context, name string) error {
	reply, _, err := c.ask(ctx, true, "ACL", "USERS")
	if err != nil {
		return err
	}
	names, _ := reply.([]any)
	if slices.Contains(names, any(name)) {
		return fmt.Errorf("there is a user %s; nothing was changed: use user passwd, grant, enable or disable, "+
			"or user delete first", name)
	}
	return nil
}

func (c *client) userPassword() *cobra.Command {
	file, keep := "", false
	cmd := userVerb("passwd <name>", "Give a user another password", 1, func(ctx context.Context,
		args []string) error {
		password, err := c.newPassword(file)
		if err != nil {
			return err
		}
		rules := []string{"resetpass", ">" + password}
		if keep {
			rules = rules[1:]
		}
		return c.setUser(ctx, args[0], "has the new password", rules...)
	})
	cmd.Flags().StringVar(&file, "new-password-file", "",
		"file whose first line is the password; - for standard input")
	cmd.Flags().BoolVar(&keep, "keep-old", false, "the old ones count, too, until they are taken away")
	return cmd
}

func (c *client) userGrant() *cobra.Command {
	return userVerb("grant <name> <rule>...", "Change a user by rules of ACL SETUSER", 1<<16,
		func(ctx context.Context, args []string) error {
			for _, r := range args[1:] {
				if strings.HasPrefix(r, ">") || strings.HasPrefix(r, "<") {
					return badArgsf("a password does not belong on the command line; use user passwd")
				}
			}
			return c.setUser(ctx, args[0], "changed", args[1:]...)
		})
}

func (c *client) userSwitch(verb, rule string) *cobra.Command {
	return userVerb(verb+" <name>", "Turn a user "+rule, 1, func(ctx context.Context, args []string) error {
		return c.setUser(ctx, args[0], verb+"d", rule)
	})
}

func (c *client) userDelete() *cobra.Command {
	return userVerb("delete <name>", "Delete a user and cut its connections", 1,
		func(ctx context.Context, args []string) error {
			reply, _, err := c.ask(ctx, false, "ACL", "DELUSER", args[0])
			if err != nil {
				return err
			}
			if n, _ := reply.(int64); n == 0 {
				return fmt.Errorf("there is no user %s", args[0])
			}
			_, err = fmt.Fprintf(c.out, "User %s deleted\n", args[0])
			return err
		})
}

func (c *client) userList() *cobra.Command {
	return &cobra.Command{Use: "list", Annotations: noTable, Short: "List the users", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.printLines(cmd.Context(), "ACL", "USERS") }}
}

func (c *client) userGet() *cobra.Command {
	return userVerb("get <name>", "Print the rules of a user", 1, func(ctx context.Context,
		args []string) error {
		reply, _, err := c.ask(ctx, true, "ACL", "LIST")
		if err != nil {
			return err
		}
		lines, _ := reply.([]any)
		for _, line := range lines {
			if text, _ := line.(string); strings.HasPrefix(text, "user "+args[0]+" ") {
				_, err := fmt.Fprintln(c.out, text)
				return err
			}
		}
		return fmt.Errorf("there is no user %s", args[0])
	})
}

func (c *client) printLines(ctx context.Context, words ...any) error {
	reply, _, err := c.ask(ctx, true, words...)
	if err != nil {
		return err
	}
	lines, _ := reply.([]any)
	for _, line := range lines {
		if _, err := fmt.Fprintln(c.out, line); err != nil {
			return err
		}
	}
	return nil
}

// newPassword takes a password from a file, or from standard input, where a terminal does not show it.
func (c *client) newPassword(file string) (string, error) {
	if file != "" && file != "-" {
		return readSecret("new-password-file", file)
	}
	in := bufio.NewReader(c.in)
	if file == "-" || !isTerminal(c.in) {
		return readPassword(in)
	}
	defer c.hideInput()()
	return askPassword(in, c.err)
}

// askPassword asks twice: nobody sees what is typed, and a mistake would lock the user out.
func askPassword(in *bufio.Reader, out io.Writer) (string, error) {
	fmt.Fprint(out, "New password: ")
	password, err := readPassword(in)
	if err != nil {
		return "", err
	}
	fmt.Fprint(out, "\nThe same again: ")
	again, err := readPassword(in)
	if err != nil || again != password {
		return "", errors.Join(errors.New("the two are not the same; nothing was changed"), err)
	}
	return password, nil
}

func readPassword(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.Join(errors.New("no password was given"), ignoreEOF(err))
	}
	return line, nil
}

func ignoreEOF(err error) error {
	if err != nil && err.Error() == "EOF" {
		return nil
	}
	return err
}

// hideInput asks the terminal not to show what is typed; what it returns undoes that.
func (c *client) hideInput() (show func()) {
	stty := func(mode string) {
		cmd := exec.Command("stty", mode)
		cmd.Stdin = c.in
		_ = cmd.Run() // without stty the password is shown, which the user sees
	}
	stty("-echo")
	return func() {
		stty("echo")
		fmt.Fprintln(c.err)
	}
}

// credentials settles who the client is. The password comes from the environment or a file.
func (c *client) credentials(environ []string) error {
	if strings.Contains(c.user, ":") {
		return badArgsf("--user takes a name alone: a password on the command line can be seen by everybody on " +
			"this machine; put it into REDKEEP_PASSWORD or --password-file")
	}
	for _, e := range environ {
		if password, ok := strings.CutPrefix(e, "REDKEEP_PASSWORD="); ok {
			c.password = password
		}
	}
	if c.passwordFile == "" {
		return nil
	}
	password, err := readSecret("password-file", c.passwordFile)
	c.password = password
	return err
}
